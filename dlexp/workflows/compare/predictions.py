"""Scores of several runs on the same samples, from their saved predictions."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.artifacts.files.reading import NO_LIMIT, is_file, open_regular
from dlexp.artifacts.runs.run_files import read_run_file, with_keys
from dlexp.artifacts.runs.run_tree import is_group, is_sweep
from dlexp.config.schema.tree import shown
from dlexp.errors import ConfigError, DlexpError, Problem
from dlexp.metrics.intervals.paired_blocks import TimeBlocks
from dlexp.tasks.decoding.options import DECODING_KEYS
from dlexp.text.nearest import nearest_name
from dlexp.text.quoting import command, shell_word
from dlexp.workflows.compare.measure import Measure
from dlexp.workflows.compare.named_metrics import USUAL, sample_scorer
from dlexp.workflows.compare.same_data import refuse_other_data
from dlexp.workflows.compare.sequence_scores import (
    ALWAYS_OF_SAMPLES,
    BLOCK,
    Scorer,
    SequenceKind,
    Table,
    sequence_kind,
)
from dlexp.workflows.run_record.read import RunSummary

Floats = NDArray[np.float64]
NAMES_OF_SAMPLES = ("row", "class")  # beside values of each sample, in tables without true answers
# Columns are (N,): numbers, or the number of each text in a list of texts that all tables of a comparison share.
_ROWS_AT_A_TIME = 1 << 15


@dataclass(frozen=True)
class Scores:
    """Scores of the networks of each group on the same samples.

    groups          one (K, N) each
    split_accesses  the largest number of evaluations of the split among the runs
    blocks          stretches of time that count as independent, None for samples that do
    notes           what a reader of the intervals must know
    """

    measure: Measure
    split: str
    checkpoint: str
    groups: tuple[Floats, ...]
    split_accesses: int
    blocks: TimeBlocks | None = None
    notes: tuple[str, ...] = ()

    @property
    def samples(self) -> int:
        """The number of samples, N."""
        return int(self.groups[0].shape[1])


def _right(table: Table) -> Floats:
    found: Floats = (table["true"] == table["predicted"]).astype(np.float64)
    return found


def _balanced(table: Table) -> Floats:
    """The score of each sample, weighted so that the mean is the balanced accuracy."""
    _, numbers, counts = np.unique(table["true"], return_inverse=True, return_counts=True)
    return _right(table) * (len(numbers) / (len(counts) * counts[numbers]))


def _surprise(table: Table) -> Floats:
    """The log loss of each sample, as evaluated: the column p has 0 where the probability is too small."""
    return np.asarray(table["log_loss"], np.float64)


def _error(table: Table, power: int) -> Floats:
    """The error of each sample: the mean over the targets of |predicted - true| to a power."""
    names = [column.removeprefix("true ") for column in table if column.startswith("true ")]
    each = [table[f"predicted {name}"] - table[f"true {name}"] for name in names]
    found: Floats = np.mean(np.abs(np.stack(each)) ** power, axis=0)
    return found


def _column(name: str) -> Scorer:
    """A column of values of each sample."""
    return lambda table: np.asarray(table[name], np.float64)


_OF_CLASSES: Mapping[str, Scorer] = {
    "accuracy": _right,
    "balanced_accuracy": _balanced,
    "log_loss": _surprise,
}
_OF_VALUES: Mapping[str, Scorer] = {
    "mae": lambda table: _error(table, 1),
    "mse": lambda table: _error(table, 2),
}


def metrics_of(columns: Collection[str], kind: SequenceKind | None) -> dict[str, Scorer]:
    """Name -> table -> scores (N,), of the metrics that a table of these columns has; the usual one first."""
    if kind is not None:
        return dict(kind.metrics)
    if not any(name == "true" or name.startswith("true ") for name in columns):
        return {name: _column(name) for name in columns if name not in NAMES_OF_SAMPLES}
    found = dict(_OF_CLASSES if "true" in columns else _OF_VALUES)
    if "log_loss" not in columns:
        found.pop("log_loss", None)
    return found


def scorer(name: str | None, found: Mapping[str, Scorer], others: Iterable[str] = ()) -> tuple[str, Scorer]:
    """(name, function) of the metric of that name, or of the usual one; table -> scores (N,).

    Raises ConfigError for a metric that is not in `found`; `others` may be meant as well.
    """
    others = list(others)
    if name is None:  # tags that spell no entities have no entity_f1
        name = next((each for each in found if each in others), next(iter(found)))
    if name not in found:
        known = dict.fromkeys((*found, *others))
        near = nearest_name(name, known)
        rule = f"must be one of {', '.join(found)} for these predictions, or a metric that all runs have"
        remedy = f"Did you mean --metric {shell_word(near)}?" if near else ""
        raise ConfigError.one("--metric", name, rule, remedy, code="unknown-value")
    return name, found[name]


def has_predictions(run: RunSummary, split: str) -> bool:
    """Return whether the run was evaluated on `split`."""
    return all(is_file(run.path / "eval" / split / name) for name in ("predictions.csv", "report.json"))


def common_split(runs: Sequence[RunSummary], wanted: str | None) -> str:
    """The split to compare on: `wanted`, or test where all runs have it, or val. Raises ConfigError naming commands."""
    for split in (wanted,) if wanted else ("test", "val"):
        if all(has_predictions(run, split) for run in runs):
            return split
    split = wanted or "test"
    missing = [run for run in runs if not has_predictions(run, split)]
    raise ConfigError(_without_predictions([run.path for run in missing], split))


def _without_predictions(paths: Sequence[Path], split: str) -> list[Problem]:
    """A problem for each run, one for several runs of a sweep or a group of seeds, which are evaluated together.

    Runs whose task has no values of each sample are evaluated without them: they count where no other run lacks any.
    """
    measured = [path for path in paths if is_file(path / "eval" / split / "report.json")]
    if len(measured) == len(paths):
        rule = f"was evaluated on the {split} split, and its task has no values of each sample to compare"
        remedy = "Name a metric that all runs have, such as --metric frechet of generative models."
        return [Problem(str(path), "", rule, remedy, code="not-supported") for path in paths]
    paths = [path for path in paths if path not in measured]
    parents: dict[Path, list[Path]] = {}
    for path in paths:
        parents.setdefault(path.parent, []).append(path)
    found = []
    for parent, runs in parents.items():
        if len(runs) > 1 and (is_sweep(parent) or is_group(parent)):
            found.append((parent, f"{len(runs)} runs have no predictions of the {split} split"))
        else:
            found += [(path, f"has no predictions of the {split} split") for path in runs]
    return [Problem(str(path), "", rule, _evaluation(path, split), code="missing-requirement") for path, rule in found]


def read_scores(groups: Sequence[Sequence[RunSummary]], metric: str | None, wanted: str | None) -> Scores:
    """The scores of every run on one split, sample by sample.

    metric  None for accuracy, or mae where values are predicted
    wanted  the split, None for test where all runs were evaluated on it, and val otherwise
    Raises ConfigError where the runs were not evaluated, or not on the same data, rows and kind of weights; DlexpError
    for a file that cannot be read.
    """
    runs = [run for group in groups for run in group]
    refuse_other_data(runs)
    split = common_split(runs, wanted)
    needs = with_keys("checkpoint", "evaluated")
    reports = [read_run_file(run.path / "eval" / split / "report.json", needs=needs) for run in runs]
    _refuse_other_conditions(runs, reports, split)
    files = {run.path: run.path / "eval" / split / "predictions.csv" for run in runs}
    texts: dict[str, int] = {}
    columns = _columns(files[runs[0].path])
    kind = sequence_kind(columns, texts)
    own = sample_scorer(runs[0], metric, texts) if metric is not None else None
    if own is not None and metric is not None:
        name, score = metric, own
    else:
        have = (name.partition("/")[2] for name in runs[0].metrics if all(name in run.metrics for run in runs))
        name, score = scorer(metric, metrics_of(columns, kind), have)
    wants_all = kind is not None
    _refuse_other_values(runs, {run: _columns(file) for run, file in files.items()}, name, split)
    first = _table(files[runs[0].path], name, texts, wants_all)
    scores = {runs[0].path: _defined(score(first), name, runs[0], split)}
    for run in runs[1:]:  # one table at a time: of the others, only the scores are kept
        table = _table(files[run.path], name, texts, wants_all)
        _refuse_other_rows(runs[0], first, run, (table, () if kind is None else kind.same), split)
        scores[run.path] = _defined(score(table), name, run, split)
    stacked = tuple(np.stack([scores[run.path] for run in group]) for group in groups)
    split_accesses = max(int(report.get("split_accesses", 0)) for report in reports)
    measure = Measure(name, runs[0].directions.get(name) == "max" or "accuracy" in name)
    blocks = None
    if BLOCK in first and "block_overlap" in reports[0]:
        blocks = TimeBlocks(first[BLOCK], float(reports[0]["block_overlap"]))
    notes = [*_other_decoding(runs, reports), *([kind.note] if kind is not None and kind.note else [])]
    return Scores(measure, split, str(reports[0]["checkpoint"]), stacked, split_accesses, blocks, tuple(notes))


def _other_decoding(runs: Sequence[RunSummary], reports: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A note on each run whose sequences were put out in another way than in training."""
    for run, report in zip(runs, reports, strict=True):
        changes = [each for each in report.get("changed_since_training", ()) if each["path"] in DECODING_KEYS]
        if changes:
            words = [f"{c['path']}={shown(c['after'])} (trained with {shown(c['before'])})" for c in changes]
            yield f"{run.path} was evaluated with {', '.join(words)}"


def is_paired(runs: Sequence[RunSummary], metric: str, wanted: str | None) -> bool:
    """Return whether a metric is compared over samples: a mean of scores of them, or of sums over them.

    Where the runs have no predictions, it is for metrics that would be if they had.
    """
    if sample_scorer(runs[0], metric, {}) is not None:
        return True
    for split in (wanted,) if wanted else ("test", "val"):
        if all(has_predictions(run, split) for run in runs):
            columns = _columns(runs[0].path / "eval" / split / "predictions.csv")
            return metric in metrics_of(columns, sequence_kind(columns, {}))
    return metric in (*USUAL, *ALWAYS_OF_SAMPLES)


def _defined(scores: Floats, name: str, run: RunSummary, split: str) -> Floats:
    """The scores. Raises ConfigError where the metric has no value."""
    if np.isnan(scores).any():
        rule = f"is undefined on the {split} split of {run.path}"
        remedy = f"See why with {_evaluation(run.path, split)}, or name another metric."
        raise ConfigError.one("--metric", name, rule, remedy, code="incompatible-data")
    return scores


def _refuse_other_conditions(runs: Sequence[RunSummary], reports: Sequence[Mapping[str, Any]], split: str) -> None:
    """Raise ConfigError for other weights, changed data, or weights that are newer than the predictions."""
    problems = []
    for run, report in zip(runs, reports, strict=True):
        again = _evaluation(run.path, split)
        if report["checkpoint"] != reports[0]["checkpoint"]:
            rule = f"was evaluated with the {report['checkpoint']} weights, but {runs[0].path} with the "
            problems.append(
                Problem(str(run.path), "", f"{rule}{reports[0]['checkpoint']} ones", again, code="incompatible-run")
            )
        elif report.get("data_as_trained") is False:
            problems.append(
                Problem(
                    str(run.path),
                    "",
                    "was evaluated on different data than it was trained on",
                    again,
                    code="incompatible-data",
                )
            )
        elif any(
            datetime.fromisoformat(time) > datetime.fromisoformat(report["evaluated"])
            for time in run.meta.get("continued", ())
        ):
            problems.append(
                Problem(str(run.path), "", "was resumed after its evaluation", again, code="incompatible-run")
            )
    if problems:
        raise ConfigError(problems)


def _refuse_other_values(
    runs: Sequence[RunSummary], columns: Mapping[Path, Sequence[str]], name: str, split: str
) -> None:
    """Raise ConfigError where tables without true answers lack a column, or have that of another task."""
    own = columns[runs[0].path]
    if name not in own or any(column == "true" or column.startswith("true ") for column in own):
        return
    problems = []
    for run in runs:
        task, first = run.choices.get("task"), runs[0].choices.get("task")
        if task != first:
            rule = f"has task={task}, and {runs[0].path} has task={first}: their values of each sample are not alike"
            remedy = "Compare runs of one task, or generative models by --metric frechet over seeds."
            problems.append(Problem(str(run.path), "", rule, remedy, code="incompatible-run"))
        elif name not in columns[run.path]:
            rule = f"has no {name} of each sample of the {split} split"
            problems.append(Problem(str(run.path), "", rule, _evaluation(run.path, split), code="missing-requirement"))
    if problems:
        raise ConfigError(problems)


def _refuse_other_rows(
    one: RunSummary, first: Table, other: RunSummary, second_and_same: tuple[Table, tuple[str, ...]], split: str
) -> None:
    """Raise ConfigError unless both tables have the same samples with the same true answers."""
    second, same = second_and_same
    true = list(same) + [column for column in first if column == "true" or column.startswith("true ")]
    if not np.array_equal(first["row"], second["row"]):
        share = len(np.intersect1d(first["row"], second["row"]))
        rule = f"has different samples in its {split} split than {one.path} ({share} in common)"
        remedy = "Compare runs with the same data.split_seed, data.val_fraction and data.test_fraction."
        raise ConfigError.one(str(other.path), "", rule, remedy, code="incompatible-data")
    if any(name not in second or not np.array_equal(first[name], second[name]) for name in true):
        rule = f"has different true targets in its {split} split than {one.path}"
        raise ConfigError.one(
            str(other.path), "", rule, "Compare runs with the same task and data.", code="incompatible-data"
        )


def _columns(path: Path) -> list[str]:
    """The columns of a predictions.csv. Raises DlexpError that names the file."""
    with _rows_of(path) as rows:
        return next(rows, [])


def _table(path: Path, metric: str, texts: dict[str, int], wants_all: bool = False) -> Table:
    """The columns of a predictions.csv that `metric` needs, rows in one order for all runs.

    Args:
        texts: Text -> number; new texts are added.
        wants_all: Whether all columns are needed, but for the sources of sequences and the places of windows.

    Raises DlexpError that names the file.
    """
    parts: list[dict[str, NDArray[Any]]] = []
    with _rows_of(path) as rows:
        header = next(rows, [])
        wanted = [place for place, name in enumerate(header) if _is_needed(name, metric, wants_all)]
        while piece := list(islice(rows, _ROWS_AT_A_TIME)):
            if header[:1] != ["row"] or any(len(row) != len(header) for row in piece):
                raise _incomplete(path)
            parts.append(
                {header[place]: _cells(header[place], [row[place] for row in piece], texts) for place in wanted}
            )
    if not parts:
        raise _incomplete(path)
    table = {name: np.concatenate([part.pop(name) for part in parts]) for name in list(parts[0])}
    order = np.argsort(table["row"], kind="stable")
    return {name: column[order] for name, column in table.items()}


def _is_needed(column: str, metric: str, wants_all: bool) -> bool:
    """Whether a column names the sample, its target or its prediction, or holds the metric itself."""
    if wants_all:
        return column not in ("source", "series", "time")
    return column in ("row", BLOCK, "true", "predicted", metric) or column.startswith(("true ", "predicted "))


def _cells(name: str, cells: list[str], texts: dict[str, int]) -> NDArray[Any]:
    """The cells of a column as numbers: rows and classes by their number in `texts`, others as they are."""
    if name in ("row", BLOCK) and all(map(str.isdecimal, cells)):
        return np.asarray(cells, np.int64)
    if name in ("row", "true", "predicted"):
        return np.fromiter((texts.setdefault(cell, len(texts)) for cell in cells), np.int64, len(cells))
    return np.asarray(cells, np.float64)


@contextmanager
def _rows_of(path: Path) -> Iterator[Iterator[list[str]]]:
    """Open a predictions.csv as rows of cells. Raises DlexpError that names the file."""
    try:
        with open_regular(path, NO_LIMIT) as file:
            yield csv.reader(io.TextIOWrapper(file, encoding="utf-8", newline=""))
    except (OSError, ValueError, csv.Error) as error:
        raise DlexpError(f"cannot read {path}: {error}", code="corrupted") from error


def _incomplete(path: Path) -> DlexpError:
    what = f"{path} is corrupted: it is not a complete table of predictions. Evaluate the run again."
    return DlexpError(what, code="corrupted")


def _evaluation(run: Path, split: str) -> str:
    """The line that evaluates a run on a split."""
    return command("evaluate", run, *([] if split == "test" else ["--split", split]))
