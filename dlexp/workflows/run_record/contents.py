"""The contents of a run directory for its page; missing or corrupted files are reported on the page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.reading import is_there, read_bytes, read_text
from dlexp.artifacts.files.writing import is_temporary
from dlexp.artifacts.runs.metrics_log import read_metrics
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.artifacts.runs.run_files import read_run_file
from dlexp.config.check.metrics import directions
from dlexp.config.derive import departure
from dlexp.config.files.catalog import Catalog
from dlexp.config.schema.tree import ABSENT, leaves, shown, value_at
from dlexp.errors import ConfigError, DlexpError
from dlexp.report.pages.run_contents import Configuration, Evaluated, Explained, RunStory, Table
from dlexp.workflows.pictures import Pictures, curves

# base64 encodes three bytes as four, and a page must stay below 2 MB
_PICTURE_BYTES = 1_300_000
_NARROW_BYTES = 150_000  # of the curves for a phone, which are in addition
_FIRST = ("confusion", "mistakes", "predicted")  # figures that are included first
_MUST_BE_GIVEN = "???"
_MAX_ROWS = 1000


@dataclass
class _Reader:
    """Reads files, collects messages about those that cannot be read, and limits the total size of figures."""

    folder: Path
    problems: list[str] = field(default_factory=list)
    room: int = _PICTURE_BYTES

    def json(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        if not is_there(path):
            return {}
        try:
            return read_run_file(path)
        except DlexpError as error:
            self.problems.append(f"{error}")
            return {}

    def text(self, name: str) -> str:
        try:
            return read_text(self.folder / name, errors="replace")
        except FileNotFoundError:
            return ""
        except OSError as error:
            self.problems.append(f"cannot read {name}: {error.strerror}")
            return ""

    def table(self, name: str) -> Table | None:
        """(columns, rows) of a CSV file, without incomplete rows; None if it does not exist."""
        path = self.folder / name
        if not is_there(path):
            return None
        try:
            file = io.StringIO(read_bytes(path).decode("utf-8"), newline="")
            lines = [line for _, line in zip(range(_MAX_ROWS + 1), csv.reader(file), strict=False)]
        except (OSError, ValueError, csv.Error) as error:
            self.problems.append(f"cannot read {name}: {error}")
            return None
        return (lines[0], [line for line in lines[1:] if len(line) == len(lines[0])]) if lines else None

    def picture(self, name: str) -> bytes | None:
        """The bytes of a PNG or GIF file, None if it does not exist or the page would become too large."""
        try:
            content = read_bytes(self.folder / name)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.problems.append(f"cannot read {name}: {error.strerror}")
            return None
        if not content.startswith((b"\x89PNG", b"GIF8")):
            self.problems.append(f"{name} is not a PNG file.")
            return None
        if len(content) > self.room:
            self.problems.append(f"{name} ({len(content):,} bytes) was omitted: the page would exceed 2 MB.")
            return None
        self.room -= len(content)
        return content

    def status(self, run: RunDir) -> dict[str, Any]:
        try:
            return vars(run.status())
        except DlexpError as error:
            self.problems.append(str(error))
            return {"state": "Unknown state", "epoch": "?", "epochs": "?", "reason": ""}


def run_story(run: RunDir, catalog: Catalog) -> RunStory:
    """The contents of a run for its page."""
    reader = _Reader(run.path)
    status, summary, meta = reader.status(run), reader.json("summary.json"), reader.json("meta.json")
    columns, rows = _metrics(reader)
    configuration = _configuration(reader, meta, catalog)
    if rows and not summary.get("monitor"):
        summary |= _best_so_far(meta, rows)
    pictures = _pictures(reader, columns, rows, summary)
    evaluated = tuple(_evaluated(reader, path.parent) for path in sorted(run.path.glob("eval/*/report.json")))
    inspected = _inspected(reader)
    explained = tuple(_explained(reader, path.parent) for path in sorted(run.path.glob("explain/*/explain.json")))
    typed = reader.text("command.txt").partition("\n")[0]
    return RunStory(
        name=run.path.name,
        place=str(run.path),
        status=status,
        summary=summary,
        meta=meta,
        command=typed,
        configuration=configuration,
        columns=columns,
        rows=rows,
        pictures=pictures,
        evaluated=evaluated,
        explained=explained,
        files=_files(run.path),
        packages=reader.text("env.txt").split(),
        problems=reader.problems,
        inspected=inspected,
        diagnosis=reader.json("doctor.json"),
        watched=_watched(reader.text("doctor.jsonl")),
        samples=_samples(reader),
        compression=reader.json("compress.json"),
    )


def _samples(reader: _Reader) -> dict[str, bytes]:
    """The last picture that was made while the run trained, the animation of all, and those of `dlexp sample`."""
    made = sorted(path.stem for path in reader.folder.glob("samples/epoch_*.png") if not is_temporary(path))
    places = {name: f"samples/{name}.png" for name in made[-1:]} | {"animation": "samples/samples.gif"}
    places |= {mode: f"samples/{mode}.png" for mode in ("samples", "interpolation", "reconstruction", "traversal")}
    found = {name: reader.picture(place) for name, place in places.items()}
    return {name: picture for name, picture in found.items() if picture is not None}


def _watched(text: str) -> list[dict[str, Any]]:
    """The findings of doctor.jsonl; lines that are cut off or damaged are left out."""
    found = []
    for line in text.splitlines():
        with suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict) and all(isinstance(event.get(key), str) for key in ("code", "what")):
                found.append(event)
    return found


def _inspected(reader: _Reader) -> dict[str, bytes]:
    """The figures of `dlexp inspect`, sorted by name."""
    names = sorted(path.stem for path in reader.folder.glob("inspect/*.png") if not is_temporary(path))
    pictures = {name: reader.picture(f"inspect/{name}.png") for name in names}
    return {name: png for name, png in pictures.items() if png is not None}


def _metrics(reader: _Reader) -> tuple[list[str], list[dict[str, str]]]:
    try:
        return read_metrics(reader.folder / "metrics.csv")
    except DlexpError as error:
        reader.problems.append(str(error))
        return [], []


def _best_so_far(meta: dict[str, Any], rows: Sequence[dict[str, str]]) -> dict[str, Any]:
    """The monitored metric of an unfinished run and its best epoch so far; {} if unknown."""
    monitor = str(_at(meta, "config.trainer.monitor") or _at(meta, "config.task.monitor") or "")
    config = meta.get("config")
    direction = directions(config).get(monitor) if isinstance(config, Mapping) and "task" in config else None
    found = []
    for row in rows:
        try:
            found.append((float(row[monitor]), int(row["epoch"])))
        except (KeyError, ValueError):
            continue
    finite = [(value, -epoch) for value, epoch in found if value - value == 0]
    if not finite or direction not in ("min", "max"):
        return {"monitor": monitor}
    best = min(finite, key=lambda pair: (pair[0] if direction == "min" else -pair[0], -pair[1]))
    return {"monitor": monitor, "best_epoch": -best[1]}


def _at(meta: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path of meta.json, None if it does not exist."""
    found = value_at(meta, path)
    return None if found is ABSENT else found


def _pictures(
    reader: _Reader, columns: Sequence[str], rows: Sequence[dict[str, str]], summary: dict[str, Any]
) -> dict[str, bytes]:
    """The curves, drawn from metrics.csv to include unfinished runs, and the range test of the learning rate."""
    found: dict[str, bytes] = {}
    if rows:
        pictures, epoch = Pictures(), int(summary.get("best_epoch") or 0)
        monitor = str(summary.get("monitor") or "")
        for name, most in (("curves", 3), ("curves_narrow", 1)):
            png = pictures.draw("metrics.csv", partial(curves, columns, rows, epoch, monitor, most))
            if png is not None and (most > 1 or len(png) <= _NARROW_BYTES):
                found[name] = png
                reader.room -= len(png) if most > 1 else 0
        reader.problems += dict.fromkeys(pictures.undrawn)
    for name, place in (("lr_find", "lr_find/lr_find.png"), ("suspected_labels", "suspected_labels.png")):
        png = reader.picture(place)
        found |= {name: png} if png is not None else {}
    return found


def _evaluated(reader: _Reader, folder: Path) -> Evaluated:
    place = f"eval/{folder.name}"
    names = [path.stem for path in folder.glob("*.png") if not is_temporary(path)]
    names.sort(key=lambda name: (not name.startswith(_FIRST), name))
    content = reader.json(f"{place}/report.json")
    about = content.get("tables")
    captioned = [name for name, each in about.items() if each.get("caption")] if isinstance(about, dict) else []
    shown = [name for name in captioned if Path(name).name == name]  # a file of this folder and of no other
    tables = {name: reader.table(f"{place}/{name}.csv") for name in shown}
    pictures = {name: reader.picture(f"{place}/{name}.png") for name in names}
    return Evaluated(
        split=folder.name,
        content=content,
        tables={name: table for name, table in tables.items() if table is not None},
        pictures={name: png for name, png in pictures.items() if png is not None},
    )


def _explained(reader: _Reader, folder: Path) -> Explained:
    place = f"explain/{folder.name}"
    content = reader.json(f"{place}/explain.json")
    figures = content.get("figures") or {}
    named = [name for name in figures if Path(name).name == name]  # a file of this folder and of no other
    pictures = {name: reader.picture(f"{place}/{name}.png") for name in named}
    return Explained(folder.name, content, {name: png for name, png in pictures.items() if png is not None})


def _configuration(reader: _Reader, meta: dict[str, Any], catalog: Catalog) -> Configuration:
    """The configuration, and its differences from the current defaults."""
    try:
        found = departure(reader.folder / "config.yaml", catalog)
    except ConfigError as error:
        why = "; ".join(f"{problem.where} {problem.rule}" for problem in error.problems)
        text = f"The differences from the defaults are unknown: {why}. Name your own options with --config-dir."
        return Configuration(values=_values(meta.get("config") or {}), unknown=text)
    return Configuration(
        choices=[(name, before or "-", after or "-") for name, (before, after) in found.choices.items()],
        changes=[(change.path, _default(change.before), shown(change.after)) for change in found.values],
        values=_values(found.tree),
    )


def _default(value: object) -> str:
    return "(required)" if value == _MUST_BE_GIVEN else shown(value)


def _values(tree: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(path, shown(value)) for path, value in leaves(tree) if "._" not in f".{path}"]


def _files(folder: Path) -> list[tuple[str, int]]:
    """All files of the run, sorted by name, without its lock, its page and links."""
    found = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink() and not is_temporary(path)]
    own = (folder / ".lock", folder / "report.html")
    return sorted((path.relative_to(folder).as_posix(), path.stat().st_size) for path in found if path not in own)
