"""The mean of the predictions of several networks of one configuration, such as a group of seeds.

Probabilities are averaged, not logits: the mean is a probability too, and each network has the same weight
(Lakshminarayanan et al., Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles, NeurIPS 2017).
Values are averaged in their own units, images pixel by pixel.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from dlexp.artifacts.runs.run_tree import is_group, members
from dlexp.engine.evaluate import predictions
from dlexp.errors import ConfigError, DlexpError
from dlexp.metrics.outputs import softmax
from dlexp.metrics.reports.prediction_columns import PredictionColumns
from dlexp.specs import ImageTargetSpec, ValueSpec
from dlexp.text.quoting import shell_word
from dlexp.types import Batch, Prediction
from dlexp.workflows.run_record.restore import RestoredRun, RestoreOptions, restore_run


def restore_members(folder: Path, options: RestoreOptions) -> list[RestoredRun]:
    """The run in `folder`, or each run of a group of seeds, by seed.

    Raises:
        ConfigError: There is no run, or its configuration was edited.
        DlexpError: A checkpoint does not exist, or the runs preprocess their inputs in different ways.
    """
    if not is_group(folder):
        return [restore_run(folder, options)]
    found = [restore_run(run, options) for run in members(folder.resolve() if folder.is_symlink() else folder)]
    first = found[0]
    for other in found[1:]:
        if other.preprocessing != first.preprocessing:
            raise DlexpError(
                f"{other.run.path} preprocesses inputs in another way than {first.run.path}, so their predictions "
                "have no mean. Predict with one run.",
                code="incompatible-run",
            )
    return found


def mean_predictions(runs: Sequence[RestoredRun], batches: Iterable[Batch]) -> Generator[Prediction, None, None]:
    """The mean of the predictions of all runs for each batch; that of a single run is left as it is."""
    first = runs[0].experiment
    if len(runs) == 1:
        yield from predictions(first.task, first.networks, batches, first.precision)
        return
    for batch in batches:
        yield _mean([_predicted(run, batch) for run in runs])


def _predicted(run: RestoredRun, batch: Batch) -> Prediction:
    experiment = run.experiment
    (found,) = predictions(experiment.task, experiment.networks, [batch], experiment.precision)
    return found


def _mean(found: Sequence[Prediction]) -> Prediction:
    """The mean in float64, without logits: those of the mean probability are no mean of logits."""
    extra = {name: torch.stack([one.extra[name].double() for one in found]).mean(0) for name in found[0].extra}
    outputs = torch.stack([_outputs(one) for one in found]).mean(0)
    return replace(found[0], outputs=outputs, extra=extra, logits=None)


def _outputs(prediction: Prediction) -> torch.Tensor:
    """Probabilities in float64 where there are logits, as a single run reports them; otherwise the outputs."""
    if prediction.logits is None:
        return prediction.outputs.cpu().double()
    return torch.from_numpy(softmax(prediction.logits.cpu().double().numpy()))


def check_mean(runs: Sequence[RestoredRun], columns: PredictionColumns) -> None:
    """Raise ConfigError if the predictions of several runs are neither numbers of classes nor values or images."""
    if len(runs) == 1 or columns.scores is not None:
        return
    if isinstance(runs[0].experiment.bundle.spec.targets, ValueSpec | ImageTargetSpec):
        return
    folder = runs[0].run.path.parent
    rule = "is a group of seeds, and the outputs of its networks, such as embeddings, have no mean"
    remedy = f"Name one of its runs, such as {shell_word(str(runs[0].run.path))}"
    raise ConfigError.one(str(folder), "", rule, remedy, code="not-supported")
