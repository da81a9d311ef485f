"""The samples of a generative run, measured beside real data, as a part of the report of an evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dlexp.assemble.experiment import Experiment
from dlexp.errors import ConfigError, Problem
from dlexp.findings import counted
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.generative.names import FIGURES, FRECHET, FRECHET_FLOOR
from dlexp.metrics.reports.figures import ClassShares, Figure, ImageRows, Points
from dlexp.metrics.reports.report import Report, Table
from dlexp.report.number_format import percent
from dlexp.specs import ImageSpec, TableSpec
from dlexp.tasks.generative.base import GenerativeTask
from dlexp.text.nearest import shortened
from dlexp.workflows.evaluate.generated.comparison import SampleComparison
from dlexp.workflows.evaluate.generated.measures import FEWEST, SampleFigure
from dlexp.workflows.evaluate.generated.reading import TrainingPieces
from dlexp.workflows.evaluate.generated.samples import SampleWishes

_SHOWN, _COPIES_SHOWN, _COPIES_LISTED, _POINTS = 64, 16, 100, 2000
_SURE = 0.95  # of what is warned of
_MANY_COPIES, _RARE = 0.05, 0.1
_HEADER = ("figure", "value", "real_data", "low", "high")
_TABLE = "Samples beside real data in their place: what no model can be expected to exceed."
_GRID = "The first samples of the run."
_COPIES = "The samples nearest to a training sample, and that sample to the right of each."
_SHARES = "Shares of the classes, as the classifier finds them, of the samples and of the {split} split."
_CLOUD = "Samples over the {split} split, in standardized numbers."


def refuse_request(experiment: Experiment, request: SampleWishes) -> bool:
    """Whether samples are to be made. Raises ConfigError for wishes that have no effect on this run."""
    task, networks = experiment.task, dict(experiment.networks.items())
    samples = isinstance(task, GenerativeTask) and task.noise_shape(networks) is not None
    options = task.options(networks) if isinstance(task, GenerativeTask) else frozenset()
    given = {"--samples": request.count or None, "--steps": request.steps, "--guidance": request.guidance}
    problems = []
    for word, value in given.items():
        if value is None:
            continue
        if not samples:
            rule = f"has no effect: task={experiment.config.task.option} makes no samples"
            problems.append(Problem(word, str(value), rule, f"Remove {word}.", code="no-effect"))
        elif word != "--samples" and word[2:] not in options:
            rule = f"has no effect on samples of model={experiment.config.model.option}"
            problems.append(Problem(word, str(value), rule, f"Remove {word}.", code="no-effect"))
        elif word == "--samples" and value < 0:
            problems.append(Problem(word, str(value), "must be at least 0", "Use --samples 1000", code="out-of-range"))
        elif word == "--guidance" and not 0 <= value < float("inf"):
            rule = "must be a finite number >= 0"
            problems.append(Problem(word, f"{value:g}", rule, "Use --guidance 2", code="out-of-range"))
    if problems:
        raise ConfigError(problems)
    return samples and request.count != 0


def with_samples(
    report: Report, experiment: Experiment, split: str, request: SampleWishes, resampling: Resampling
) -> Report:
    """`report` with the figures of samples that are made now; as it is for runs that make none.

    Raises ConfigError for wishes that have no effect on this run.
    """
    task = experiment.task
    if not refuse_request(experiment, request) or not isinstance(task, GenerativeTask):
        return report
    if not isinstance(experiment.bundle.spec.inputs, ImageSpec | TableSpec):
        return replace(report, notes=(*report.notes, "samples of this kind are not measured"))
    compared = SampleComparison.at(experiment, task, split, request)
    if min(len(compared.inputs), len(compared.stand_in), len(compared.reference)) < FEWEST:
        return _without_values(report, compared)
    found = compared.figures()
    metrics: dict[str, float | None] = {name: figure.value for name, figure in found.items()}
    intervals = {n: f.interval(resampling.level) for n, f in found.items()} if resampling.resamples else {}
    return replace(
        report,
        metrics={**report.metrics, **metrics, FRECHET_FLOOR: found[FRECHET].real},
        intervals={**report.intervals, **intervals},
        tables={**report.tables, **dict(_tables(compared, found, resampling))},
        figures={**report.figures, **dict(_figures(compared))},
        facts={**report.facts, **_facts(compared, found, experiment, request)},
        notes=(*report.notes, *_notes(compared), *_warnings(compared, found)),
    )


def _without_values(report: Report, compared: SampleComparison) -> Report:
    """`report` with figures that have no value, since too few samples are finite, or there are too few real ones."""
    made, real = compared.left_out + len(compared.inputs), min(len(compared.reference), len(compared.stand_in))
    reason = f"{len(compared.inputs):,} of {made:,} samples are finite; {FEWEST} are required"
    if len(compared.inputs) >= FEWEST:
        where = compared.split if len(compared.reference) == real else ("val" if compared.split == "train" else "train")
        reason = f"the {where} split has {counted(real, 'sample')}; {FEWEST} are required"
    names = [name for name in (*FIGURES, FRECHET_FLOOR) if compared.has_figure(name)]
    undefined = dict.fromkeys(names, reason)
    return replace(
        report,
        metrics={**report.metrics, **dict.fromkeys(names)},
        undefined={**report.undefined, **undefined},
    )


def _tables(
    compared: SampleComparison, found: Mapping[str, SampleFigure], resampling: Resampling
) -> Iterator[tuple[str, Table]]:
    rows = []
    for name, figure in found.items():
        bounds = figure.interval(resampling.level)
        rows.append((name, figure.value, figure.real, bounds.low, bounds.high))
    yield "generated", Table(_HEADER, rows, _TABLE, ("figure",))
    nearest = compared.copies.nearest
    order = np.argsort(nearest.distances, kind="stable")[:_COPIES_LISTED]
    training = compared.bundle.splits["train"].indices.numpy()[nearest.places]
    copied = np.where(nearest.distances <= compared.copies.threshold, "yes", "no")
    columns = (order, nearest.distances[order], training[order], copied[order])
    lines = list(zip(*(column.tolist() for column in columns), strict=True))
    yield "nearest_training", Table(("sample", "distance", "training_row", "is_near_copy"), lines)
    if compared.classes:
        shares = _shares(compared)
        lines_of_classes = zip(compared.classes, *(one.tolist() for one in shares), strict=True)
        yield "class_shares", Table(("class", "samples", "real"), list(lines_of_classes), _SHARES, ("class",))


def _shares(compared: SampleComparison) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(C,) each: the shares of the classes of the samples, and of the evaluated split."""
    count = len(compared.classes)
    samples, real = (np.bincount(compared.judged[at].predicted, minlength=count) for at in (0, 2))
    return samples / samples.sum(), real / real.sum()


def _figures(compared: SampleComparison) -> Iterator[tuple[str, Figure]]:
    inputs = compared.bundle.spec.inputs
    if isinstance(inputs, ImageSpec) and inputs.channels in (1, 3):
        yield "generated", ImageRows(_GRID, (_pixels(compared.inputs[:_SHOWN]),), _labels(compared))
        nearest = compared.copies.nearest
        order = np.argsort(nearest.distances, kind="stable")[:_COPIES_SHOWN]
        training = TrainingPieces(compared.bundle).images(nearest.places[order])
        texts = [f"{int(n)}: {nearest.distances[n]:.3g}" for n in order]
        yield "nearest_training", ImageRows(_COPIES, (_pixels(compared.inputs[order]), _pixels(training)), texts)
    elif isinstance(inputs, TableSpec) and inputs.num_features == 2:
        clouds = {"real": compared.reference.inputs, "samples": compared.inputs}
        points = {name: one[:_POINTS].double().numpy() for name, one in clouds.items()}
        yield "generated", Points(_CLOUD, points)
    if compared.classes:
        samples, real = _shares(compared)
        yield "class_shares", ClassShares(_SHARES, compared.classes, {"samples": samples, "real": real})


def _labels(compared: SampleComparison) -> list[str]:
    """The class that each shown sample was asked to be; else the one that the classifier finds."""
    count = min(_SHOWN, len(compared.inputs))
    if not compared.classes:
        return [""] * count
    numbers = compared.judged[0].predicted if compared.made.classes is None else compared.made.classes.numpy()
    return [compared.classes[n] for n in numbers[:count].tolist()]


def _pixels(images: Tensor) -> NDArray[np.uint8]:
    """(B, C, H, W) on the common scale -> (B, H, W) or (B, H, W, 3) uint8; without a known white by their range."""
    values = images.double().numpy()
    low, high = (-1.0, 1.0) if np.abs(values).max(initial=0.0) <= 1 else (values.min(), values.max())
    scaled = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    pixels = np.rint(255 * scaled).astype(np.uint8)
    return pixels[:, 0] if pixels.shape[1] == 1 else np.moveaxis(pixels, 1, -1)


def _facts(
    compared: SampleComparison, found: Mapping[str, SampleFigure], experiment: Experiment, request: SampleWishes
) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "samples": len(compared.inputs) + compared.left_out,
        "not_finite": compared.left_out,
        "seed": experiment.config.seed,
        "steps": request.steps,
        "guidance": request.guidance,
        "features": compared.features.samples.shape[1],
        "features_of": "classifier" if compared.has_features else "inputs",
        "real_samples": len(compared.reference),
        "real_in_place_of_samples": len(compared.stand_in),
        "copy_distance": compared.copies.threshold,
        "searched_for_copies": len(compared.copies.nearest.distances),
    }
    if compared.judge is not None:
        facts["classifier"] = {
            "accuracy": compared.accuracy,
            "updates": compared.judge.updates,
            "from_cache": compared.judge.is_cached,
        }
        facts["labels_of_cas"] = "classifier" if compared.made.classes is None else "asked for"
    return {"generated": facts, "floors": {name: f.real for name, f in found.items() if f.real is not None}}


def _notes(compared: SampleComparison) -> Iterator[str]:
    made, width = len(compared.inputs) + compared.left_out, compared.features.samples.shape[1]
    where = "val" if compared.split == "train" else "train"
    yield (
        f"{counted(made, 'sample')} of the run's seed, compared with {len(compared.reference):,} of the "
        f"{compared.split} split; real data: {len(compared.stand_in):,} of the {where} split in place of the samples"
    )
    sure = f"a classifier of the training split, {percent(compared.accuracy)} % right here" if compared.classes else ""
    if compared.has_features:
        yield f"compared by {width} features of {sure}"
    else:
        numbers = "number" if width == 1 else f"{width} numbers"
        yield f"compared by the {numbers} of a sample as they are{f'; classes: of {sure}' if sure else ''}"
    if compared.left_out:
        yield f"{compared.left_out:,} of {made:,} samples are not finite and were left out"
    if made < compared.made.wanted:
        yield f"{made:,} of {compared.made.wanted:,} samples were made in ten minutes. Set --samples to make more."
    if min(len(compared.inputs), len(compared.reference)) <= width:
        yield f"there are no more samples than the {width} features: frechet is mostly bias, compare it with real data"
    if compared.classes and compared.made.classes is None:
        yield "the model has no classes: those of its samples, also for cas, are what the classifier calls them"


def _warnings(compared: SampleComparison, found: Mapping[str, SampleFigure]) -> Iterator[str]:
    """What is surely wrong with the samples."""
    copies = found["near_copies"]
    low = copies.interval(_SURE).low
    if copies.value is not None and low is not None and low > max(_MANY_COPIES, 2 * (copies.real or 0.0)):
        yield (
            f"{percent(copies.value, 1)} % of the samples nearly equal a training sample (of real samples that were "
            f"not trained on: {percent(copies.real or 0.0, 1)} %): the model repeats its training data, "
            "see nearest_training.csv"
        )
    if compared.classes:
        samples, real = _shares(compared)
        rare = [name for name, own, other in zip(compared.classes, samples, real, strict=True) if own < _RARE * other]
        if rare:
            yield f"classes with less than a tenth of their share of real data: {shortened(rare)}"
