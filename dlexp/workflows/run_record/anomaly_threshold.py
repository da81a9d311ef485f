"""The threshold of anomalies of a run: measured on its training samples, kept in its directory, read again.

Symbols: N samples.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dlexp.artifacts.files.reading import is_there
from dlexp.artifacts.files.writing import write_json
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.artifacts.runs.run_files import read_run_file
from dlexp.assemble.experiment import Experiment
from dlexp.engine.evaluate import predictions, seeded
from dlexp.metrics.reports.anomalies import ScoredSamples, Threshold
from dlexp.runtime.seed import kept_randomness
from dlexp.specs import ClassSpec
from dlexp.tasks.generative.base import Anomalies
from dlexp.types import as_tensor

FILE = "anomaly_threshold.json"
CHECKPOINT = "best"  # whose weights the threshold is of


def score_name(experiment: Experiment) -> str | None:
    """The name of the score of a run whose task says how unlike the training data a sample is; None for others."""
    task = experiment.task
    return task.score if experiment.config.anomaly_quantile is not None and isinstance(task, Anomalies) else None


def scored(experiment: Experiment, split: str, name: str) -> ScoredSamples:
    """The samples of a split with their scores `name`, by the weights that the networks have."""
    scores, indices, labels = [], [], []
    batches = seeded(experiment.split(split), experiment.config.seed)
    with kept_randomness(True):
        for found in predictions(experiment.task, experiment.networks, batches, experiment.precision):
            scores.append(found.extra[name].detach().double().cpu().numpy())
            indices.append(found.indices.cpu().numpy())
    targets = experiment.bundle.spec.targets
    classes: list[str] = []
    truth = None
    if isinstance(targets, ClassSpec):
        for batch in experiment.split(split):
            labels.append(as_tensor(batch.targets).cpu().numpy())
        numbers = np.concatenate(labels)
        classes = [targets.names[number] for number in numbers.tolist()]
        truth = np.isin(numbers, targets.anomalies) if targets.anomalies else None
    return ScoredSamples(name, np.concatenate(indices), np.concatenate(scores), classes, truth)


def measure_threshold(run: RunDir, experiment: Experiment, say: Callable[[str], None]) -> None:
    """Measure the threshold with the weights that the networks have, write it and say so; nothing without scores."""
    name, quantile = score_name(experiment), experiment.config.anomaly_quantile
    if name is None or quantile is None:
        return
    found = Threshold.of(name, scored(experiment, "train", name).scores, quantile)
    if not np.isfinite(found.threshold):
        say(f"no threshold of anomalies: more than {1 - quantile:.3g} of the training samples have no finite score")
        return
    write_json(run / FILE, {**vars(found), "checkpoint": CHECKPOINT})
    share = f"the {quantile:g} quantile of the training samples"
    say(f"anomalies have a {name} above {found.threshold:.4g}, {share} ({FILE})")


def read_threshold(run: RunDir, experiment: Experiment, checkpoint: str) -> tuple[Threshold | None, str]:
    """(The threshold of a run, "") or (None, why it has none); (None, "") for a task without scores.

    Raises DlexpError for a file that cannot be read.
    """
    name = score_name(experiment)
    if name is None:
        return None, ""
    if checkpoint != CHECKPOINT:
        return None, f"the threshold of anomalies is that of checkpoint={CHECKPOINT}; this is checkpoint={checkpoint}"
    if not is_there(run / FILE):
        why = "it is measured when training ends" if run.status().state != "finished" else f"{FILE} is missing"
        return None, f"no threshold of anomalies: {why}"
    content = read_run_file(run / FILE)
    return Threshold(content["score"], content["threshold"], content["quantile"], content["samples"]), ""
