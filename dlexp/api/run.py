"""A run in Python: what its directory holds, and what can be done with it."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from dlexp.api.arguments import DataArgument, Given, Overrides, data_argument, override_words, resampling_of
from dlexp.api.calls import explains_its_arguments
from dlexp.api.compressions import Compressions
from dlexp.api.examinations import Examinations
from dlexp.api.results import EvaluationResult, Picture
from dlexp.api.run_samples import RunPredictions, RunSamples
from dlexp.api.session import catalog_of, session, trusted_of_call
from dlexp.api.tables import metric_texts, notebook_table
from dlexp.artifacts.files.format_number import refuse_other_run_format
from dlexp.artifacts.files.reading import read_bytes
from dlexp.artifacts.runs.metrics_log import read_metrics
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.config.saved import read_overrides
from dlexp.errors import ConfigError
from dlexp.workflows.ensemble.request import CombineRequest
from dlexp.workflows.finished_run import check_checkpoint, check_word, evaluation_changes
from dlexp.workflows.run_record.read import RunSummary, read_run_summary

if TYPE_CHECKING:
    from torch import nn

_HANDED_OVER = {"dataframe": "a DataFrame", "text_dataframe": "texts", "ndarrays": "arrays"}
_SPLITS = ("train", "val", "test")


class Run(Examinations, RunPredictions, RunSamples, Compressions):
    """A run directory.

    Args:
        path: The directory.
        trust: Packages of your own that its configuration may import.
        data: What was handed over to train it, which `evaluate` and `resume` use again; None for data in files.

    Raises:
        ConfigError: There is no run in this directory.
    """

    def __init__(self, path: str | Path, *, trust: Sequence[str] = (), data: Given | None = None) -> None:
        self._dir, self._trust, self._given = RunDir.find(Path(path)), tuple(trust), data
        refuse_other_run_format(self._dir.path)

    @property
    def path(self) -> Path:
        """The directory."""
        return self._dir.path

    @property
    def handed_over(self) -> DataArgument:
        """What was handed over to train it."""
        return DataArgument((), self._given)

    @property
    def config(self) -> dict[str, Any]:
        """The configuration as nested plain values; a copy."""
        return copy.deepcopy(dict(self._read().config))

    @property
    def overrides(self) -> tuple[str, ...]:
        """The overrides of the run, as given."""
        return tuple(read_overrides(self.path / "overrides.yaml"))

    @property
    def state(self) -> str:
        """finished, running, interrupted, failed or died."""
        return self._read().status.state

    @property
    def summary(self) -> dict[str, Any]:
        """The content of summary.json: best epoch, its metrics, samples, seconds; {} before the run has finished."""
        return dict(self._read().summary)

    @property
    def metrics(self) -> pd.DataFrame:
        """The log, a row per epoch with the columns of metrics.csv; an undefined metric is NaN."""
        columns, rows = read_metrics(self.path / "metrics.csv")
        return pd.DataFrame({name: [_cell(name, row[name]) for row in rows] for name in columns})

    @property
    def best(self) -> dict[str, float]:
        """split/name -> value: of validation at the best epoch so far, and of every split that was evaluated."""
        return dict(self._read().metrics)

    @property
    def curves(self) -> Picture:
        """Loss and metrics over the epochs. Raises an OSError before the run has finished."""
        path = self.path / "plots" / "curves.png"
        return Picture(path, read_bytes(path))

    @explains_its_arguments
    def evaluate(
        self,
        *overrides: Overrides,
        split: str = "test",
        checkpoint: str = "best",
        data: object | None = None,
        target: object | None = None,
        resamples: int = 1000,
        level: float = 0.95,
        samples: int | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        tta: str | int | None = None,
        allow_changes: bool = False,
    ) -> EvaluationResult:
        """Measure the run on one of its splits, as `dlexp evaluate` does; writes eval/<split>/.

        Args:
            overrides: Where and how fast, such as "trainer.device=cpu".
            split: train, val or test.
            checkpoint: best or last.
            data: The data again, if it was handed over in another session; a path to read the same columns elsewhere.
            target: The targets, if `data` does not hold them.
            resamples: Resamples of the intervals, at least 100; 0 for none.
            level: Of the intervals, between 0 and 1.
            samples: Samples of a generative run that are measured, None for as many as in training; 0 for none.
            steps: Denoising steps of these samples, None for those of the task.
            guidance: Strength of classifier-free guidance, None for that of the task.
            tta: Average over views of each image: flip, crop, crop_flip, or a number of views that the augmentation of
                training draws. `report["ensemble"]` has the gain; the directory is eval/<split>-tta/.
            allow_changes: Evaluate on data that differs from that of the run.

        Raises:
            ConfigError: A wrong argument, or data that must be handed over again.
            DataError: The data has changed.
        """
        check_word("split", split, _SPLITS)
        check_checkpoint(checkpoint)
        resampling = resampling_of(resamples, level)
        argument = self._data_of(data, target)
        changes = evaluation_changes([*override_words(overrides), *argument.words])
        trusted = trusted_of_call(self._trust)
        with session(argument.given):
            if tta is not None:
                return self._evaluate_views(CombineRequest(
                    split, checkpoint, tta=str(tta), changes=changes, trusted=trusted, allow_changes=allow_changes,
                    resampling=resampling,
                ))  # fmt: skip
            from dlexp.workflows.evaluate.evaluate import evaluate_run
            from dlexp.workflows.evaluate.generated.samples import SampleWishes

            which = (self.path, split, checkpoint, changes, trusted)
            made = SampleWishes(samples, steps, guidance)
            found = evaluate_run(*which, allow_changes=allow_changes, resampling=resampling, samples=made)
        return EvaluationResult(self.path / "eval" / split, split, found["metrics"], found)

    def _evaluate_views(self, request: CombineRequest) -> EvaluationResult:
        from dlexp.workflows.ensemble.augmented import evaluate_views

        found = evaluate_views(self.path, request)
        return EvaluationResult(self.path / "eval" / found["place"], request.split, found["metrics"], found)

    @explains_its_arguments
    def network(self, checkpoint: str = "best") -> nn.Module:
        """The trained network on the CPU in evaluation mode; it takes preprocessed inputs, as in `dlexp export`."""
        check_checkpoint(checkpoint)
        with session():
            from dlexp.workflows.run_record.restore import RestoreOptions, restore_run

            options = RestoreOptions(checkpoint, {"trainer.device": "cpu"}, trusted_of_call(self._trust))
            networks = restore_run(self.path, options).experiment.networks
        network: nn.Module = networks["model"] if len(networks) == 1 and "model" in networks else networks
        return network.eval()

    @explains_its_arguments
    def resume(
        self,
        *overrides: Overrides,
        data: object | None = None,
        target: object | None = None,
        progress: bool = True,
        allow_changes: bool = False,
    ) -> Run:
        """Continue the run in its directory, as `dlexp train --resume` does; returns the run.

        Args:
            overrides: What may change, such as "trainer.epochs=20".
            data: The data again, if it was handed over in another session.
            target: The targets, if `data` does not hold them.
            progress: Show the progress.
            allow_changes: Resume even if code, package versions or hardware have changed.

        Raises:
            ConfigError: An override that must not change, or data that must be handed over again.
            DataError: The data has changed.
            Interrupted: Stopped by a signal such as Ctrl-C; it can be resumed again.
        """
        argument = self._data_of(data, target)
        if any(word.startswith("data.path=") for word in argument.words):
            rule, remedy = "the data of a resumed run cannot change", "Remove it; the run reads its own file."
            raise ConfigError.one("data", str(data), rule, remedy, code="not-supported")
        with session(argument.given):
            from dlexp.api.progress import progress_of
            from dlexp.config.derive import resumed_config
            from dlexp.workflows.train import train as workflow

            config, changes = resumed_config(self.path, override_words(overrides), catalog_of(()))
            display = progress_of(progress)
            for change in changes:
                display.say(f"changed: {change.path}: {change.before} -> {change.after}")
            trusted = trusted_of_call(self._trust)
            workflow.resume(RunDir(self.path), config, trusted, display, allow_changes=allow_changes)
        self._given = argument.given
        return self

    @explains_its_arguments
    def repeat(
        self,
        *overrides: Overrides,
        data: object | None = None,
        target: object | None = None,
        run_dir: str | Path | None = None,
        config_dirs: Sequence[str | Path] = (),
        progress: bool = True,
    ) -> Run:
        """Train a new run from the configuration of this one with some changes, as `dlexp train --from` does.

        Args:
            overrides: The changes.
            data: Other data, or the data again, if it was handed over in another session.
            target: The targets, if `data` does not hold them, or another column.
            run_dir: The directory of the new run, None for a new one in outputs/train/.
            config_dirs: Directories of your own options.
            progress: Show the progress.
        """
        catalog, words = catalog_of(config_dirs), override_words(overrides)
        argument = DataArgument((), self._given) if data is None else data_argument(data, target, words, catalog)
        with session(argument.given):
            from dlexp.api.progress import progress_of
            from dlexp.config.derive import repeat
            from dlexp.workflows.train import train as workflow

            typed = (*words, *argument.words)
            config, changes = repeat(self.path, typed, catalog)
            display = progress_of(progress)
            for change in changes:
                display.say(f"changed: {change.path}: {change.before} -> {change.after}")
            call = f"dlexp.load({str(self.path)!r}).repeat({', '.join(map(repr, typed))})"
            place, trusted = None if run_dir is None else Path(run_dir), trusted_of_call(self._trust)
            request = workflow.Request((*self.overrides, *typed), (call,), place, trusted)
            summary = workflow.train(config, request, display)
        return Run(summary["run"], trust=self._trust, data=argument.given)

    @explains_its_arguments
    def report(self, out: str | Path | None = None) -> Path:
        """Write the page of the run and return its file, report.html in its directory unless `out` is given."""
        with session():
            from dlexp.workflows.report import report

            return report([self.path], None if out is None else Path(out), catalog_of(())).path

    def __repr__(self) -> str:
        values = "".join(f", {name} {text}" for name, text in metric_texts(self.best))
        return f"Run({str(self.path)!r}, {self.state}{values})"

    def _repr_html_(self) -> str:
        found = self._read()
        facts = [("state", found.status.state), ("epochs", str(len(found.epochs)))]
        if found.summary:
            facts.append(("best epoch", f"{found.summary['best_epoch']} by {found.monitor}"))
        title = " on ".join(str(found.meta.get(key, "?")) for key in ("model", "data"))
        return notebook_table(title, [*facts, *metric_texts(found.metrics), ("path", str(self.path))])

    def _read(self) -> RunSummary:
        return read_run_summary(self.path)

    def _data_of(self, data: object | None, target: object | None) -> DataArgument:
        """The data for a workflow that uses that of the run. Raises ConfigError for data of another kind."""
        option = str(self._read().choices.get("data"))
        kind = _HANDED_OVER.get(option)
        if data is None:
            return DataArgument((), self._given if kind else None)
        of_texts = ("data.text=auto",) if option == "text_dataframe" else ()
        found = data_argument(data, target, of_texts, catalog_of(()))
        given = next((word.removeprefix("data=") for word in found.words if word.startswith("data=")), "")
        if kind and given != option:
            rule = f"this run was trained on {kind} handed over in Python"
            remedy = (
                "Pass data=frame, such as pandas.read_csv(FILE)."
                if option.endswith("dataframe")
                else "Pass data=(x, y)."
            )
            raise ConfigError.one("data", given, rule, remedy, code="incompatible-data")
        if not kind and found.given is not None:
            rule = f"this run was trained on data={option}, which is read from files"
            raise ConfigError.one("data", given, rule, "Pass the path of a file.", code="incompatible-data")
        return DataArgument(tuple(word for word in found.words if word.startswith("data.path=")), found.given)

    def _of(self, path: Path, argument: DataArgument) -> Self:
        """Another run, trained on the same data."""
        return type(self)(path, trust=self._trust, data=argument.given)


def _cell(name: str, text: str) -> float | int:
    if not text:
        return math.nan
    return int(text) if name in ("epoch", "step") else float(text)
