"""The mean of the predictions of several networks: of a group of seeds, of an ensemble, or of runs that are named.

Probabilities are averaged, not logits, as `dlexp.metrics.ensembles.combination` says; values in their own units, images
pixel by pixel.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from dlexp.engine.evaluate import predictions
from dlexp.errors import ConfigError, DlexpError
from dlexp.metrics.ensembles.combination import Combination, OutputMeaning, combined_predictions
from dlexp.metrics.reports.prediction_columns import PredictionColumns, class_columns
from dlexp.sequence_specs import ForecastSpec
from dlexp.specs import ClassSpec, ImageTargetSpec, ValueSpec
from dlexp.text.quoting import shell_word
from dlexp.types import Batch, Prediction
from dlexp.workflows.run_record.ensemble_record import refuse_twice, used_members
from dlexp.workflows.run_record.restore import RestoredRun, RestoreOptions, restore_run


def restore_members(
    folder: Path, options: RestoreOptions, others: Sequence[Path] = ()
) -> tuple[list[RestoredRun], Combination]:
    """The networks that `folder` stands for, and how they are combined.

    Args:
        folder: Of a run, a group of seeds or an ensemble.
        options: Checkpoint and overrides; an ensemble has its own checkpoints.
        others: More of them. All networks then have the same weight.

    Raises:
        ConfigError: There is no run, or its configuration was edited; a network that is named twice.
        DlexpError: A checkpoint does not exist, or the runs preprocess their inputs in different ways, or predict
            different things.
    """
    members, how = used_members(folder, options.checkpoint)
    if others:
        members += [one for other in others for one in used_members(other, options.checkpoint)[0]]
        how = None
        refuse_twice(members)
    found = [restore_run(one.run, replace(options, checkpoint=one.checkpoint)) for one in members]
    check_same_inputs(found)
    return found, how or Combination.equal(len(found))


def check_same_inputs(found: Sequence[RestoredRun]) -> None:
    """Raise DlexpError for runs that preprocess their inputs in different ways, or have other classes or values."""
    first = found[0]
    for other in found[1:]:
        if other.preprocessing != first.preprocessing:
            raise DlexpError(
                f"{other.run.path} preprocesses inputs in another way than {first.run.path}, so their predictions "
                "have no mean. Predict with one run.",
                code="incompatible-run",
            )
        mine, own = (one.experiment.bundle.spec for one in (first, other))
        if (mine.output_names, mine.target_kind) != (own.output_names, own.target_kind):
            raise DlexpError(
                f"{other.run.path} predicts {', '.join(own.output_names[:3])}, and {first.run.path} predicts "
                f"{', '.join(mine.output_names[:3])}. Use runs with the same classes or targets.",
                code="incompatible-run",
            )


def combine_batches(
    runs: Sequence[RestoredRun], how: Combination, batches: Iterable[Sequence[Batch]]
) -> Generator[Prediction, None, None]:
    """The combined prediction for each batch, which comes in one or several views.

    Views of a network have the same weight. One network with one view is left as it is.
    """
    if len(runs) == 1:
        with closing(_singly(runs[0], batches)) as found:
            yield from found
        return
    for views in batches:
        each = [_viewed(run, views) for run in runs]
        yield combined_predictions(_meaning(runs[0], each[0]), each, how)


def _singly(run: RestoredRun, batches: Iterable[Sequence[Batch]]) -> Generator[Prediction, None, None]:
    """The predictions of one network; with one view in one pass, so that nothing is prepared anew for each batch."""
    experiment = run.experiment
    counts: list[int] = []

    def all_views() -> Iterable[Batch]:
        for views in batches:
            counts.append(len(views))
            yield from views

    waiting: list[Prediction] = []
    with closing(predictions(experiment.task, experiment.networks, all_views(), experiment.precision)) as found:
        for prediction in found:
            waiting.append(prediction)
            if len(waiting) == counts[0]:
                counts.pop(0)
                yield _of_views(run, waiting)
                waiting = []


def _viewed(run: RestoredRun, views: Sequence[Batch]) -> Prediction:
    experiment = run.experiment
    found = list(predictions(experiment.task, experiment.networks, views, experiment.precision))
    return _of_views(run, found)


def _of_views(run: RestoredRun, found: Sequence[Prediction]) -> Prediction:
    if len(found) == 1:
        return found[0]
    return combined_predictions(_meaning(run, found[0]), found, Combination.equal(len(found)))


def _meaning(run: RestoredRun, prediction: Prediction) -> OutputMeaning:
    """Probabilities where there are logits of classes, or columns that say so; otherwise numbers that are averaged."""
    if prediction.logits is not None:
        return "probabilities"
    spec = run.experiment.bundle.spec
    if not isinstance(spec.targets, ClassSpec) or prediction.outputs.shape[1:] != (len(spec.output_names),):
        return "values"
    return "probabilities" if run.experiment.task.prediction_columns(spec, prediction).meaning == "p" else "scores"


def combined_columns(runs: Sequence[RestoredRun], how: Combination, prediction: Prediction) -> PredictionColumns:
    """The columns of a combined prediction; the numbers of a vote are its shares."""
    experiment = runs[0].experiment
    spec = experiment.bundle.spec
    if how.is_vote and len(runs) > 1:
        return class_columns(spec, prediction, "vote")
    return experiment.task.prediction_columns(spec, prediction)


def check_mean(runs: Sequence[RestoredRun], columns: PredictionColumns, views: int = 0) -> None:
    """Raise ConfigError if predictions of several runs or views are neither numbers of classes nor values.

    views  of each sample; 0 and 1 are the sample as it is
    """
    if (len(runs) == 1 and views < 2) or columns.scores is not None:
        return
    if isinstance(runs[0].experiment.bundle.spec.targets, ValueSpec | ForecastSpec | ImageTargetSpec):
        return
    if len(runs) == 1:
        rule = "averages over views, and outputs such as embeddings have no mean"
        raise ConfigError.one("--tta", "", rule, "Remove --tta", code="not-supported")
    folder = runs[0].run.path.parent
    rule = "stands for several networks, and their outputs, such as embeddings, have no mean"
    remedy = f"Name one of its runs, such as {shell_word(str(runs[0].run.path))}"
    raise ConfigError.one(str(folder), "", rule, remedy, code="not-supported")
