"""Views of new images for test-time augmentation, as the training of the run augments its images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from dlexp.artifacts.runs.run_files import read_run_file
from dlexp.data.augment.views import NAMED, View, images_in_view, views_of
from dlexp.errors import ConfigError
from dlexp.kinds import describe_kind
from dlexp.specs import ImageSpec
from dlexp.workflows.run_record.restore import RestoredRun

AUGMENTATION = "augmentation"  # key of meta.json


def sample_views(stored: RestoredRun, words: str, say: Callable[[str], None]) -> Sequence[View]:
    """The views of new images that `words` name; () for no words.

    Raises ConfigError for anything else than images, and for views that these images cannot have.
    """
    if not words:
        return ()
    experiment = stored.experiment
    if not isinstance(experiment.bundle.spec.inputs, ImageSpec):
        rule = f"is for images, and this run reads {describe_kind(experiment.bundle.spec.inputs.kind)}"
        raise ConfigError.one("--tta", words, rule, "Remove it.", code="not-supported")
    found = read_run_file(stored.run / "meta.json").get(AUGMENTATION)
    if found is None:
        rule = "requires a run whose meta.json says how its images were augmented"
        raise ConfigError.one("--tta", words, rule, "Remove it.", code="incompatible-run")
    augmented = replace(
        experiment.bundle,
        augment=found["words"],
        pad=int(found["pad"]),
        mirrors=bool(found["mirrors"]),
        preprocessing=stored.preprocessing,
    )
    if not augmented.mirrors and words in NAMED and "flip" in words:
        say("mirrored images may not belong to any of these classes; --tta crop does not mirror")
    return views_of(words, augmented.recipe, augmented.pad, experiment.config.seed)


def in_views(views: Sequence[View], images: Tensor, before: int) -> list[Tensor]:
    """(B, C, H, W) in each view; `before` samples came before these."""
    indices = torch.arange(len(images), device=images.device) + before
    return [images_in_view(view, images, indices) for view in views]
