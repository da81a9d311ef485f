"""The workflow `dlexp report`: runs or a study as one self-contained HTML page."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dlexp
from dlexp.artifacts.files.reading import is_file, is_there, read_bytes
from dlexp.artifacts.files.writing import write_text
from dlexp.artifacts.runs.run_dir import RunDir, outputs_root
from dlexp.artifacts.runs.run_files import read_run_file
from dlexp.artifacts.runs.run_tree import is_group, is_sweep
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError, DlexpError
from dlexp.report.pages.run import run_page
from dlexp.report.pages.runs import SweepStandings, runs_page
from dlexp.report.pages.study import PICTURES, StudyContext, study_page
from dlexp.text.quoting import command
from dlexp.text.time_format import stamp
from dlexp.workflows.pictures import Pictures
from dlexp.workflows.run_record.contents import run_story
from dlexp.workflows.run_record.read import RunSummary, read_run_summary

_STUDY_GOES_ON = "the study is not finished; run the same command again to continue it"


@dataclass(frozen=True)
class WrittenPage:
    """A page that was written.

    Attributes:
        kind: run, study or runs.
        path: Its file.
        size: Its size in bytes.
        problems: Messages about files that could not be read, which are also on the page.
    """

    kind: str
    path: Path
    size: int
    problems: tuple[str, ...] = ()


def report(folders: Sequence[Path], out: Path | None, catalog: Catalog) -> WrittenPage:
    """Write the page of a run, a study or several runs; a group of seeds counts as several runs.

    Args:
        folders: Directories of runs, groups of seeds, or one study.
        out: The file, None for report.html in the directory of the run, study or group.
        catalog: The options of the configuration.

    Raises:
        ConfigError: A directory is neither a run nor a study, a study is given with other directories, or `out` is not
            an HTML file.
    """
    _refuse_other_files(out)
    studies = [folder for folder in folders if is_file(folder / "study.json")]
    if studies and len(folders) > 1:
        rule = "is a study, which cannot be combined with runs"
        raise ConfigError.one(
            str(studies[0]), "", rule, f"Write its own page with {command('report', studies[0])}", code="cannot-combine"
        )
    if studies:
        return _study(studies[0], out)
    if len(folders) == 1 and not is_group(folders[0]) and not is_sweep(folders[0]):
        return _run(RunDir.find(folders[0]), out, catalog)
    if out is None:
        out = folders[0] / "report.html" if len(folders) == 1 else outputs_root() / "report" / f"{stamp()}.html"
    return _runs(folders, out)


def _runs(folders: Sequence[Path], out: Path) -> WrittenPage:
    """Write the comparison of several runs; runs that cannot be paired are explained on the page."""
    from dlexp.workflows.compare.compare import CompareOptions, compare
    from dlexp.workflows.compare.files import curves_of

    found = compare(folders, CompareOptions(tables_only=True))
    rows = [_row(read_run_summary(path), group.label) for group in found.groups for path in group.runs]
    pictures = Pictures()
    curves = pictures.draw("the curves", lambda: curves_of(found))
    narrow = pictures.draw("the curves", lambda: curves_of(found, narrow=True)) if curves is not None else None
    standings = _standings(folders[0], pictures) if len(folders) == 1 and is_sweep(folders[0]) else None
    page = runs_page(found.as_dict(), curves, rows, dlexp.__version__, narrow, standings)
    return _written("runs", out, page, pictures.undrawn)


def _standings(folder: Path, pictures: Pictures) -> SweepStandings | None:
    """The standings of the configurations of a sweep, as of now."""
    from dlexp.workflows.compare.standings.files import content_of, figure_of
    from dlexp.workflows.compare.standings.standings import standings_of

    found = standings_of(folder)
    if found is None:
        return None
    name = "the means"
    png = pictures.draw(name, lambda: figure_of(found)) if found.metric else None
    narrow = pictures.draw(name, lambda: figure_of(found, narrow=True)) if png is not None else None
    return SweepStandings(content_of(found), png, narrow)


def _row(run: RunSummary, group: str) -> dict[str, Any]:
    status = run.status
    return {
        "directory": str(run.path),
        "group": group,
        "seed": run.seed,
        "state": status.state,
        "epoch": status.epoch,
        "epochs": status.epochs,
        "metrics": dict(run.metrics),
    }


def _run(run: RunDir, out: Path | None, catalog: Catalog) -> WrittenPage:
    story = run_story(run, catalog)
    return _written("run", out or run / "report.html", run_page(story, dlexp.__version__), story.problems)


def _study(folder: Path, out: Path | None) -> WrittenPage:
    """Write the page of a study from its current files, as `dlexp tune` does at the end."""
    content = {"reason": _STUDY_GOES_ON, "confirmation": None, **read_run_file(folder / "study.json")}
    pictures = {name: folder / "plots" / f"{name}.png" for name in PICTURES}
    problems: list[str] = []
    found = {name: png for name, path in pictures.items() if (png := _picture(path, problems)) is not None}
    columns, rows = _trials(folder / "trials.csv")
    about = StudyContext(str(folder), str(content.get("command") or ""), content.get("made_with") or {})
    try:
        text = study_page(content, columns, rows, found, about)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        remedy = "Run the same dlexp tune command again to rewrite it."
        raise ConfigError.one(
            str(folder / "study.json"), "", f"is corrupted ({error})", remedy, code="corrupted"
        ) from error
    return _written("study", out or folder / "report.html", text, problems)


def _picture(path: Path, problems: list[str]) -> bytes | None:
    """The bytes of a figure; None if it does not exist or, with a message in `problems`, cannot be read."""
    if not is_there(path):
        return None
    try:
        return read_bytes(path)
    except OSError as error:
        problems.append(f"cannot read {path}: {error.strerror}")
        return None


def _trials(path: Path) -> tuple[list[str], list[list[Any]]]:
    """(columns, rows) of trials.csv, with numbers converted and None for empty cells."""
    if not is_there(path):
        return ["trial", "state", "value"], []
    try:
        text = io.StringIO(read_bytes(path).decode("utf-8"), newline="")
        columns, *lines = [*csv.reader(text)] or [["trial", "state", "value"]]
    except (OSError, ValueError, csv.Error) as error:
        raise DlexpError(f"cannot read {path}: {error}", code="corrupted") from error
    return columns, [[_value(text) for text in line] for line in lines if len(line) == len(columns)]


def _value(text: str) -> Any:
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        return text
    return value if math.isfinite(value) else text


def _written(kind: str, path: Path, text: str, problems: Sequence[str] = ()) -> WrittenPage:
    write_text(path, text)
    return WrittenPage(kind, path, len(text.encode()), tuple(problems))


def _refuse_other_files(out: Path | None) -> None:
    """Raise ConfigError unless `out` is the name of an HTML file, since an existing file is overwritten."""
    if out is None:
        return
    if out.is_dir():
        raise ConfigError.one(
            "--out", str(out), "is a directory", f"Use --out {out / 'report.html'}", code="invalid-value"
        )
    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError.one(
            "--out", str(out), "must end with .html", f"Use --out {out.name}.html", code="invalid-value"
        )
