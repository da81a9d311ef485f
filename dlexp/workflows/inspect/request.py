"""What `dlexp inspect` draws, checked without importing torch."""

from __future__ import annotations

from dataclasses import dataclass

from dlexp.errors import ConfigError, Problem
from dlexp.workflows.finished_run import check_checkpoint, check_word

SPLIT_NAMES = ("train", "val", "test")


@dataclass(frozen=True)
class InspectRequest:
    """The figures to draw.

    Attributes:
        features: Layers whose outputs for one sample are drawn.
        filters: The filters of the first layer.
        weights: Distributions of weights and gradients of each layer: initial, best and last.
        activations: Distributions of the outputs of each layer.
        embeddings: The features before the last layer, in two dimensions.
        data: Distributions of classes, targets and inputs.
        split: The split of the samples.
        sample: Position of the sample of `features` in the split, from 0.
        samples: Samples for activations, embeddings and data.
        checkpoint: best or last.
    """

    features: tuple[str, ...] = ()
    filters: bool = False
    weights: bool = False
    activations: bool = False
    embeddings: bool = False
    data: bool = False
    split: str = "val"
    sample: int = 0
    samples: int = 1000
    checkpoint: str = "best"

    def check(self) -> None:
        """Raise ConfigError for invalid values, and if nothing is to be drawn."""
        check_word("--split", self.split, SPLIT_NAMES)
        check_checkpoint(self.checkpoint)
        problems = []
        if self.sample < 0:
            problems.append(Problem("--sample", str(self.sample), "must be 0 or more", code="out-of-range"))
        if self.samples < 2:
            rule = "must be 2 or more"
            problems.append(Problem("--samples", str(self.samples), rule, "Use --samples 500", code="out-of-range"))
        if not any((self.features, self.filters, self.weights, self.activations, self.embeddings, self.data)):
            figures = "--features LAYER, --filters, --weights, --activations, --embeddings, --data"
            rule = "names no figure"
            problems.append(Problem("inspect", "", rule, f"Add one or more of {figures}.", code="missing-value"))
        if problems:
            raise ConfigError(problems)
