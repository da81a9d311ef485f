"""Results of evaluations, comparisons, studies and range tests, as a notebook shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlexp.api.tables import metric_texts, notebook_table
from dlexp.findings import counted
from dlexp.report.number_format import number

RunT = TypeVar("RunT")


@dataclass(frozen=True)
class Picture:
    """A PNG file of a run.

    Attributes:
        path: The file.
        png: Its content.
    """

    path: Path
    png: bytes = field(repr=False)

    def _repr_png_(self) -> bytes:
        return self.png


@dataclass(frozen=True)
class CompressionResult(Generic[RunT]):
    """A run made smaller, or several, one for each strength of pruning.

    Attributes:
        runs: The new runs, in the order of the strengths.
        content: The content of compress.json.
    """

    runs: tuple[RunT, ...]
    content: Mapping[str, Any] = field(repr=False)

    @property
    def run(self) -> RunT:
        """The first new run."""
        return self.runs[0]

    @property
    def table(self) -> pd.DataFrame:
        """Before and after, a column each; of several strengths a column for each of them."""
        found = self.content.get("strengths", [self.content])
        sides = {"before": (found[0], "before")}
        sides |= {each["steps"] if len(found) > 1 else "after": (each, "after") for each in found}
        columns = {
            name: {str(each["metric"]["name"]): each["metric"][side], **_flat(each[side])}
            for name, (each, side) in sides.items()
        }
        return pd.DataFrame({name: pd.Series(values, dtype=float) for name, values in columns.items()})

    def _repr_html_(self) -> str:
        rows = [(str(name), *(f"{value:.6g}" for value in row)) for name, row in self.table.iterrows()]
        return notebook_table(str(self.content["source"]), rows)


@dataclass(frozen=True)
class EvaluationResult:
    """The metrics of a run on one of its splits.

    Attributes:
        path: The directory with tables and figures, eval/<split>/ of the run.
        split: train, val or test.
        metrics: Name -> value, None for a metric that is undefined here.
        report: The content of report.json.
    """

    path: Path
    split: str
    metrics: Mapping[str, float | None]
    report: Mapping[str, Any] = field(repr=False)

    @property
    def table(self) -> pd.DataFrame:
        """A row per metric: value, low and high, the ends of its interval (NaN without one)."""
        ends = {name: self.report["intervals"].get(name) or {} for name in self.metrics}
        columns = {
            "value": dict(self.metrics),
            "low": {name: each.get("low") for name, each in ends.items()},
            "high": {name: each.get("high") for name, each in ends.items()},
        }
        return pd.DataFrame({name: pd.Series(values, dtype=float) for name, values in columns.items()})

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables of the report by name, such as confusion or predictions."""
        return {name: pd.read_csv(self.path / f"{name}.csv") for name in self.report["tables"]}

    def __repr__(self) -> str:
        values = ", ".join(" ".join(pair) for pair in metric_texts(self.metrics))
        return f"EvaluationResult({self.split} split, {self.report['samples']:,} samples: {values})"

    def _repr_html_(self) -> str:
        rows = [
            (str(name), number(str(name), row["value"]), _between(str(name), row["low"], row["high"]))
            for name, row in self.table.iterrows()
        ]
        title = f"{self.split} split, {counted(self.report['samples'], 'sample')}, {self.report['checkpoint']} weights"
        first, header = len(metric_texts(self.metrics)), ("metric", "value", "interval")
        more = notebook_table("", rows[first:], header)
        return f"{notebook_table(title, rows[:first], header)}<details><summary>all metrics</summary>{more}</details>"


@dataclass(frozen=True)
class ComparisonResult:
    """A comparison of configurations.

    Attributes:
        verdict: The conclusion in one sentence.
        metric: Of the verdict, with its split, such as test/accuracy; "" without one.
        notes: Limitations of the verdict.
        report: Everything as plain values, as `dlexp compare --json` prints it.
    """

    verdict: str
    metric: str
    notes: tuple[str, ...]
    report: Mapping[str, Any] = field(repr=False)

    @property
    def table(self) -> pd.DataFrame:
        """A row per group and metric: mean, std (NaN for one run), n."""
        rows = [
            {"group": group["label"], "metric": name, **spread}
            for group in self.report["groups"]
            for name, spread in group["metrics"].items()
        ]
        return pd.DataFrame(rows, columns=["group", "metric", "mean", "std", "n"]).set_index(["group", "metric"])

    def _repr_html_(self) -> str:
        rows = [
            (group["label"], number(self.metric, spread["mean"]), str(spread["n"]))
            for group in self.report["groups"]
            for spread in [group["metrics"].get(self.metric) or {"mean": None, "n": len(group["runs"])}]
        ]
        return notebook_table(self.verdict, rows, ("configuration", self.metric or "-", "runs"))


@dataclass(frozen=True)
class StudyResult:
    """A search of hyperparameters.

    Attributes:
        path: The directory of the study.
        report: The content of study.json.
    """

    path: Path
    report: Mapping[str, Any] = field(repr=False)

    @property
    def trials(self) -> pd.DataFrame:
        """A row per trial, as in trials.csv."""
        return pd.read_csv(self.path / "trials.csv")

    @property
    def best(self) -> Mapping[str, Any]:
        """The best trial: its number as `trial`, value, params and folder."""
        found: Mapping[str, Any] = self.report["best"]
        return found

    @property
    def overrides(self) -> dict[str, Any]:
        """The values of the best trial as overrides: dlexp.train(study.overrides, data=...)."""
        return {name.rpartition("/")[2]: value for name, value in self.best["params"].items()}

    def __repr__(self) -> str:
        return f"StudyResult({str(self.path)!r}, best trial {self.best['trial']}: {self.best['value']:.4g})"

    def _repr_html_(self) -> str:
        rows = [(str(name), str(value)) for name, value in self.best["params"].items()]
        return notebook_table(f"best trial {self.best['trial']}: {self.best['value']:.4g}", rows)


@dataclass(frozen=True)
class LrFindResult:
    """A learning-rate range test.

    Attributes:
        path: The directory of the test.
        suggestion: The learning rate, None if the confidence is low; `reasons` then says why.
        reasons: Why the confidence is low, and what helps.
        report: The content of lr_find.json.
    """

    path: Path
    suggestion: float | None
    reasons: str
    report: Mapping[str, Any] = field(repr=False)

    @property
    def curve(self) -> pd.DataFrame:
        """A row per update: seed, step, learning rates, loss, smoothed, grad_norm, skipped."""
        return pd.read_csv(self.path / "lr_find.csv")

    def _repr_html_(self) -> str:
        low, high = self.report["range"]
        title = f"optim.lr={self.suggestion:g}" if self.suggestion is not None else self.reasons
        return notebook_table(title, [("range", f"{low:g} to {high:g}"), ("files", str(self.path))])


@dataclass(frozen=True)
class DoctorResult:
    """What the doctor found about a run, or about one that is to begin.

    Attributes:
        report: Everything as plain values, as `dlexp doctor --json` prints it.
    """

    report: Mapping[str, Any] = field(repr=False)

    @property
    def may_start(self) -> bool:
        """Whether no check and no finding says that the run cannot be good; of a finished run, only findings say it."""
        return bool(self.report.get("may_start", not self.report["counts"]["error"]))

    @property
    def findings(self) -> pd.DataFrame:
        """A row per finding, the gravest first: severity, code, what, cause, remedy, line, confidence, and where."""
        columns = ["severity", "code", "what", "cause", "remedy", "action", "line", "confidence", "layer", "epoch"]
        return pd.DataFrame(
            [{name: finding[name] for name in columns} for finding in self.report["findings"]], columns=columns
        )

    @property
    def evidence(self) -> pd.DataFrame:
        """A row per number: the code of its finding, measure, value, limit, side, is_trial."""
        columns = ["code", "measure", "value", "limit", "side", "is_trial"]
        rows = [
            {"code": finding["code"], **{name: one[name] for name in columns[1:]}}
            for finding in self.report["findings"]
            for one in finding["evidence"]
        ]
        return pd.DataFrame(rows, columns=columns)

    @property
    def checks(self) -> pd.DataFrame:
        """A row per check before a run: name, status, text; empty for a run that was trained."""
        columns = ["name", "status", "text"]
        return pd.DataFrame(
            [{name: row[name] for name in columns} for row in self.report.get("checks", ())], columns=columns
        )

    @property
    def measures(self) -> pd.Series:
        """What was measured -> number."""
        return pd.Series(dict(self.report["measures"]), dtype=float)

    def __repr__(self) -> str:
        return f"DoctorResult({', '.join(finding['code'] for finding in self.report['findings']) or 'nothing found'})"

    def _repr_html_(self) -> str:
        rows = [
            (finding["severity"], finding["code"], finding["what"], " ".join(finding["remedy"]) or finding["action"])
            for finding in self.report["findings"]
        ]
        rows += [(row["status"], row["name"], row["text"], "") for row in self.report.get("checks", ())]
        title = f"{len(self.report['findings'])} findings" if self.report["findings"] else "nothing found"
        return notebook_table(title, rows, ("severity", "code", "what", "remedy"))


@dataclass(frozen=True)
class ExplainResult:
    """What outputs of a run depend on.

    Attributes:
        path: The directory with the figures and numbers, explain/<method>/ of the run.
        method: Of the explanation.
        report: The content of explain.json.
    """

    path: Path
    method: str
    report: Mapping[str, Any] = field(repr=False)

    @property
    def samples(self) -> pd.DataFrame:
        """A row per explained sample: row, true, predicted, explained, score, ...; empty for permutation."""
        return pd.DataFrame(self.report.get("samples", []))

    @property
    def attributions(self) -> NDArray[np.float32]:
        """Shaped like the inputs of the network: (samples, *S), in the order of `samples`; (0,) for permutation."""
        return np.load(self.path / "attributions.npy") if "samples" in self.report else np.zeros(0, np.float32)

    @property
    def importances(self) -> pd.DataFrame:
        """For permutation a row per column and per group of correlated ones: increase of the loss, low, high, samples.

        Empty for other methods.
        """
        found = [*self.report.get("importances", ()), *self.report.get("correlated", ())]
        rows = [{"column": " + ".join(one["columns"]), **one} for one in found]
        return pd.DataFrame(rows, columns=["column", "increase", "low", "high", "samples"]).set_index("column")

    @property
    def failures(self) -> tuple[str, ...]:
        """The checks that the method failed on this network; such an explanation is not to be believed."""
        return tuple(self.report["failures"])

    @property
    def picture(self) -> Picture:
        """The samples with their attributions, or the importances. Raises an OSError where none could be drawn."""
        path = self.path / f"{'explanations' if 'samples' in self.report else 'importances'}.png"
        return Picture(path, path.read_bytes())

    def __repr__(self) -> str:
        count = len(self.report["samples"] if "samples" in self.report else self.report["importances"])
        what = f"{count} {'samples' if 'samples' in self.report else 'columns'} of {self.report['split']}"
        failed = f", failed its checks: {'; '.join(self.failures)}" if self.failures else ""
        return f"ExplainResult({self.method}, {what}{failed})"

    def _repr_html_(self) -> str:
        table = self.samples if "samples" in self.report else self.importances.reset_index()
        rows = [tuple(f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row) for row in table.values]
        return notebook_table(repr(self), rows, tuple(map(str, table.columns)))


def _between(name: str, low: float, high: float) -> str:
    return "-" if pd.isna(low) else f"{number(name, low)} to {number(name, high)}"


def _flat(facts: Mapping[str, Any]) -> dict[str, float]:
    """Numbers by name; those of a time get its name before theirs, such as latency_p50_ms."""
    found: dict[str, float] = {}
    for name, value in facts.items():
        if isinstance(value, Mapping):
            found |= {f"{name}_{key}": float(each) for key, each in value.items()}
        elif value is not None:
            found[name] = float(value)
    return found
