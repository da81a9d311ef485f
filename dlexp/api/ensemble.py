"""Several networks as one in Python: ensembles, and averages of weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dlexp.api.arguments import Given, Overrides, override_words, resampling_of
from dlexp.api.calls import explains_its_arguments
from dlexp.api.results import EvaluationResult
from dlexp.api.run import Run
from dlexp.api.run_group import RunGroup
from dlexp.api.session import session, trusted_of_call
from dlexp.api.tables import notebook_table
from dlexp.artifacts.files.writing import read_object
from dlexp.artifacts.runs.run_dir import named_run
from dlexp.artifacts.runs.run_tree import ENSEMBLE_MARK, is_ensemble
from dlexp.errors import ConfigError
from dlexp.workflows.ensemble.request import CombineRequest
from dlexp.workflows.finished_run import check_checkpoint, check_word, evaluation_changes

_SPLITS = ("train", "val", "test")
Runs = Sequence["Run | RunGroup | str | Path"] | Run | RunGroup | str | Path


class Ensemble:
    """Networks whose outputs are averaged, as `dlexp.ensemble` makes them.

    Args:
        path: The directory, with ensemble.json.
        trust: Packages of your own that the configurations may import.
        data: What was handed over to train the runs; None for data in files.

    Raises:
        ConfigError: There is no ensemble in this directory.
    """

    def __init__(self, path: str | Path, *, trust: Sequence[str] = (), data: Given | None = None) -> None:
        self._path, self._trust, self._given = Path(path), tuple(trust), data
        if not is_ensemble(self._path):
            rule = "not an ensemble (ensemble.json not found)"
            raise ConfigError.one(str(path), "", rule, "Make one with dlexp.ensemble(runs)", code="incompatible-run")

    @property
    def path(self) -> Path:
        """The directory."""
        return self._path

    @property
    def members(self) -> pd.DataFrame:
        """A row per network, its label as the index: run, checkpoint, weight, temperature, and `val/` metrics."""
        rows = read_object(self._path / ENSEMBLE_MARK)["members"]
        columns = [
            {**{name: row[name] for name in ("run", "checkpoint", "weight", "temperature")},
             **{f"val/{name}": value for name, value in row["val"].items()}}
            for row in rows
        ]  # fmt: skip
        return pd.DataFrame(columns, index=pd.Index([row["label"] for row in rows], name="member"))

    @explains_its_arguments
    def evaluate(
        self,
        *overrides: Overrides,
        split: str = "test",
        tta: str | int | None = None,
        resamples: int = 1000,
        level: float = 0.95,
        allow_changes: bool = False,
    ) -> EvaluationResult:
        """Measure the ensemble beside its members, as `dlexp evaluate` does; writes eval/<split>/.

        `report["ensemble"]` has the members, the gains with paired intervals, and how much the members differ.

        Args:
            overrides: Where and how fast, such as "trainer.device=cpu".
            split: train, val or test.
            tta: Views of each image: flip, crop, crop_flip, or a number of views.
            resamples: Resamples of the intervals, at least 100; 0 for none.
            level: Of the intervals, between 0 and 1.
            allow_changes: Evaluate on data that differs from that of the runs.
        """
        check_word("split", split, _SPLITS)
        request = CombineRequest(
            split=split,
            tta="" if tta is None else str(tta),
            changes=evaluation_changes(override_words(overrides)),
            trusted=trusted_of_call(self._trust),
            allow_changes=allow_changes,
            resampling=resampling_of(resamples, level),
        )
        with session(self._given):
            from dlexp.workflows.ensemble.evaluate import evaluate_ensemble

            found = evaluate_ensemble(self._path, request)
        return EvaluationResult(self._path / "eval" / found["place"], split, found["metrics"], found)

    @explains_its_arguments
    def predict(
        self,
        data: object,
        *overrides: Overrides,
        probabilities: bool = False,
        top: int = 0,
        ignore_extra: bool = False,
        allow_changes: bool = False,
        tta: str | int | None = None,
    ) -> pd.DataFrame:
        """Predict samples with the combined networks; arguments and result are those of `Run.predict`."""
        rows = read_object(self._path / ENSEMBLE_MARK)["members"]
        first = Run(self._path / rows[0]["run"], trust=self._trust)
        return first.predicted_by(
            self._path, data, overrides, {"probabilities": probabilities, "top": top, "ignore_extra": ignore_extra},
            allow_changes=allow_changes, tta=tta,
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"Ensemble({str(self._path)!r}, {len(self.members)} networks)"

    def _repr_html_(self) -> str:
        rows = [(str(label), f"{row['weight']:.3g}", str(row["run"])) for label, row in self.members.iterrows()]
        return notebook_table(f"{len(rows)} networks, {self._path}", rows, ("member", "weight", "run"))


@explains_its_arguments
def ensemble(
    runs: Runs,
    *overrides: Overrides,
    weights: str = "equal",
    vote: bool = False,
    calibrate: bool = False,
    snapshots: bool = False,
    checkpoint: str = "best",
    out: str | Path | None = None,
    trust: Sequence[str] = (),
    allow_changes: bool = False,
) -> Ensemble:
    """Combine networks into one whose probabilities, or values, are the mean of theirs; writes ensemble.json.

    Nothing but the validation split is looked at: weights and temperature are fitted on it.

    Args:
        runs: Runs, groups of seeds, or their names; one run with `snapshots`.
        overrides: Where and how fast, such as "trainer.device=cpu".
        weights: equal; greedy: selection with replacement; stacked: of the smallest validation loss.
        vote: Each network has a vote for a class, in place of its probabilities.
        calibrate: Predictions use the temperature of the smallest validation log loss.
        snapshots: The networks are the snapshots of each run (trainer.snapshot_every).
        checkpoint: best or last.
        out: Directory of the ensemble, None for a new one in outputs/ensemble/.
        trust: Packages of your own that the configurations may import.
        allow_changes: Use runs whose config.yaml was edited, or whose data have changed.

    Raises:
        ConfigError: Fewer than two networks, networks of other data, splits, classes or tasks, outputs without a mean.
        DataError: The data has changed.
    """
    check_checkpoint(checkpoint)
    folders, given = _folders(runs)
    request = CombineRequest(
        checkpoint=checkpoint,
        weights=weights,
        vote=vote,
        calibrate=calibrate,
        snapshots=snapshots,
        out=None if out is None else Path(out),
        changes=evaluation_changes(override_words(overrides)),
        trusted=trusted_of_call(trust),
        allow_changes=allow_changes,
    )
    with session(given):
        from dlexp.workflows.ensemble.evaluate import make_ensemble

        return Ensemble(make_ensemble(folders, request), trust=trust, data=given)


@explains_its_arguments
def soup(
    runs: Runs,
    *overrides: Overrides,
    how: str = "uniform",
    split: str = "val",
    snapshots: bool = False,
    checkpoint: str = "best",
    out: str | Path | None = None,
    trust: Sequence[str] = (),
    allow_changes: bool = False,
) -> Run:
    """Average the weights of networks that began at the same weights into one network; returns it as a run.

    Args:
        runs: Runs, groups of seeds, or their names; one run with `snapshots`.
        overrides: Where and how fast, such as "trainer.device=cpu".
        how: uniform: all of them; greedy: the best, and each that does not make the validation loss worse.
        split: Where it is measured beside its ingredients: report.json in its eval/<split>/.
        snapshots: The networks are the snapshots of each run.
        checkpoint: best or last.
        out: Directory of the run, None for a new one in outputs/train/.
        trust: Packages of your own that the configurations may import.
        allow_changes: Use runs whose config.yaml was edited, or whose data have changed.

    Raises:
        ConfigError: Networks of other shapes, data, splits or preprocessing.
    """
    check_checkpoint(checkpoint)
    check_word("split", split, _SPLITS)
    folders, given = _folders(runs)
    request = CombineRequest(
        split=split,
        checkpoint=checkpoint,
        snapshots=snapshots,
        soup=how,
        out=None if out is None else Path(out),
        changes=evaluation_changes(override_words(overrides)),
        trusted=trusted_of_call(trust),
        allow_changes=allow_changes,
        command=f"dlexp.soup({', '.join(map(repr, map(str, folders)))})",
    )
    with session(given):
        from dlexp.workflows.ensemble.soup import make_soup

        found = make_soup(folders, request)
    return Run(found["run"], trust=trust, data=given)


def _folders(runs: Any) -> tuple[list[Path], Given | None]:
    """The directories of runs and groups, and what was handed over to train the first one."""
    several = [runs] if isinstance(runs, Run | RunGroup | str | Path) else list(runs)
    found = [one.path if isinstance(one, Run | RunGroup | Ensemble) else named_run(str(one)) for one in several]
    members = [run for one in several for run in (one.runs if isinstance(one, RunGroup) else [one])]
    given = next((run.handed_over.given for run in members if isinstance(run, Run)), None)
    return found, given
