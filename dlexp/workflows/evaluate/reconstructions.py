"""Some samples beside what a network makes of them, as images of an evaluation.

Symbols: K samples, C channels, H and W height and width in pixels.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from dlexp.assemble.experiment import Experiment
from dlexp.data.loaders import EvalBatches
from dlexp.data.ranges import to_shares
from dlexp.engine.evaluate import predictions, seeded
from dlexp.metrics.reports.figures import Figure, ImagePairs, ImageVersions
from dlexp.metrics.reports.report import Report
from dlexp.specs import ImageSpec
from dlexp.types import as_tensor
from dlexp.workflows.image_samples import has_pictures, versions_of
from dlexp.workflows.split_rows import samples_at


def with_reconstructions(report: Report, experiment: Experiment, split: str) -> Report:
    """`report` whose pairs of images have the images; without the pairs where samples are no images."""
    figures: dict[str, Figure] = {}
    for name, figure in report.figures.items():
        if isinstance(figure, ImageVersions):
            figures[name] = _with_versions(figure, experiment, split)
        elif not isinstance(figure, ImagePairs) or figure.originals is not None:
            figures[name] = figure
        elif has_pictures(experiment.bundle):
            figures[name] = _with_images(figure, experiment, split)
    return replace(report, figures=figures)


def _with_versions(figure: ImageVersions, experiment: Experiment, split: str) -> ImageVersions:
    """The samples with what is made of them."""
    return replace(figure, versions=versions_of(experiment, samples_at(experiment, split, figure.positions)))


def _with_images(figure: ImagePairs, experiment: Experiment, split: str) -> ImagePairs:
    """The pairs with both images of each, drawn on the scale of the first where the data has no known white."""
    bundle = experiment.bundle.with_split_subset(split, torch.tensor(figure.positions))
    batches = list(EvalBatches(bundle, split, experiment.config.eval_batch_size, experiment.device))
    found = predictions(
        experiment.task, experiment.networks, seeded(batches, experiment.config.seed), experiment.precision
    )
    made = torch.cat([prediction.outputs.float().cpu() for prediction in found])
    inputs = torch.cat([as_tensor(batch.inputs).float().cpu() for batch in batches])
    originals, reconstructions = _shares(inputs, made, bundle.spec.inputs)
    return replace(figure, originals=originals.double().numpy(), reconstructions=reconstructions.double().numpy())


def _shares(inputs: Tensor, made: Tensor, spec: object) -> tuple[Tensor, Tensor]:
    """(K, C, H, W) each, in [0, 1]."""
    assert isinstance(spec, ImageSpec)
    if spec.value_range is not None:
        return to_shares(inputs, spec), to_shares(made, spec)
    low, high = inputs.amin(dim=(1, 2, 3), keepdim=True), inputs.amax(dim=(1, 2, 3), keepdim=True)
    apart = torch.where(high > low, high - low, 1.0)
    return (inputs - low) / apart, ((made - low) / apart).clamp(0, 1)
