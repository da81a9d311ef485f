"""`dlexp report`: runs or a study as one HTML page that needs nothing but itself."""

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
from dlexp.artifacts.runs.run_tree import is_group
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError, DlexpError
from dlexp.report.pages.run import run_page
from dlexp.report.pages.runs import runs_page
from dlexp.report.pages.study import PICTURES, StudyFacts, study_page
from dlexp.text.quoting import command
from dlexp.text.time_format import stamp
from dlexp.workflows.pictures import Pictures
from dlexp.workflows.run_record.contents import run_story
from dlexp.workflows.run_record.read import RunSummary, read_run_summary

_STUDY_GOES_ON = "it has not ended yet, or was stopped; the line that began it goes on with it"


@dataclass(frozen=True)
class Report:
    """A page that was written.

    kind      run, study or runs
    path      where it lies
    size      bytes
    problems  what could not be read, in sentences; the page has them too
    """

    kind: str
    path: Path
    size: int
    problems: tuple[str, ...] = ()


def report(folders: Sequence[Path], out: Path | None, catalog: Catalog) -> Report:
    """Write the page of a run, of a study, or of several runs; a group of seeds counts as its runs.

    out      the file, None for report.html in the directory of the run, study or group
    catalog  where the options of the configuration are looked up
    Raises ConfigError for what is no run and no study, for a study among several runs, and for a file that is no page.
    """
    _refuse_other_files(out)
    studies = [folder for folder in folders if is_file(folder / "study.json")]
    if studies and len(folders) > 1:
        rule = "is a study, and a page of several runs has no place for one"
        raise ConfigError.one(
            str(studies[0]), "", rule, f"{command('report', studies[0])} writes its own page", code="cannot-combine"
        )
    if studies:
        return _study(studies[0], out)
    if len(folders) == 1 and not is_group(folders[0]):
        return _run(RunDir.find(folders[0]), out, catalog)
    if out is None:
        out = folders[0] / "report.html" if len(folders) == 1 else outputs_root() / "report" / f"{stamp()}.html"
    return _runs(folders, out)


def _runs(folders: Sequence[Path], out: Path) -> Report:
    """The comparison of several runs; what cannot be paired is told on the page."""
    from dlexp.workflows.compare.compare import CompareOptions, compare
    from dlexp.workflows.compare.files import curves_of

    found = compare(folders, CompareOptions(tables_only=True))
    rows = [_row(read_run_summary(path), group.label) for group in found.groups for path in group.runs]
    pictures = Pictures()
    curves = pictures.draw("the curves", lambda: curves_of(found))
    page = runs_page(found.as_dict(), curves, rows, dlexp.__version__)
    return _written("runs", out, page, pictures.undrawn)


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


def _run(run: RunDir, out: Path | None, catalog: Catalog) -> Report:
    story = run_story(run, catalog)
    return _written("run", out or run / "report.html", run_page(story, dlexp.__version__), story.problems)


def _study(folder: Path, out: Path | None) -> Report:
    """The page that `dlexp tune` writes at the end, from the files as they are now."""
    content = {"reason": _STUDY_GOES_ON, "confirmation": None, **read_run_file(folder / "study.json")}
    pictures = {name: folder / "plots" / f"{name}.png" for name in PICTURES}
    problems: list[str] = []
    found = {name: png for name, path in pictures.items() if (png := _picture(path, problems)) is not None}
    columns, rows = _trials(folder / "trials.csv")
    about = StudyFacts(str(folder), str(content.get("command") or ""), content.get("made_with") or {})
    try:
        text = study_page(content, columns, rows, found, about)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        remedy = "the same `dlexp tune` line again writes it anew"
        raise ConfigError.one(
            str(folder / "study.json"), "", f"is not that of a study ({error})", remedy, code="corrupted"
        ) from error
    return _written("study", out or folder / "report.html", text, problems)


def _picture(path: Path, problems: list[str]) -> bytes | None:
    """The bytes of a picture; None where there is none, and with a sentence for the page where it cannot be read."""
    if not is_there(path):
        return None
    try:
        return read_bytes(path)
    except OSError as error:
        problems.append(f"{path} cannot be read: {error.strerror}")
        return None


def _trials(path: Path) -> tuple[list[str], list[list[Any]]]:
    """(columns, rows) of trials.csv with numbers as numbers and None for what is empty."""
    if not is_there(path):
        return ["trial", "state", "value"], []
    try:
        text = io.StringIO(read_bytes(path).decode("utf-8"), newline="")
        columns, *lines = [*csv.reader(text)] or [["trial", "state", "value"]]
    except (OSError, ValueError, csv.Error) as error:
        raise DlexpError(f"{path} cannot be read: {error}", code="corrupted") from error
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


def _written(kind: str, path: Path, text: str, problems: Sequence[str] = ()) -> Report:
    write_text(path, text)
    return Report(kind, path, len(text.encode()), tuple(problems))


def _refuse_other_files(out: Path | None) -> None:
    """An option that may replace a file replaces pages only."""
    if out is None:
        return
    if out.is_dir():
        raise ConfigError.one(
            "--out", str(out), "is a directory", f"name a file: --out {out / 'report.html'}", code="invalid-value"
        )
    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError.one(
            "--out", str(out), "is no name of a page", f"end it in .html: --out {out.name}.html", code="invalid-value"
        )
