"""Everything that samples are measured by, gathered: themselves, real samples, and a classifier of real ones.

Symbols: N samples, M real samples, D numbers of a sample, F features, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlexp.assemble.experiment import Experiment
from dlexp.data.bundle import DataBundle, Split
from dlexp.data.tables.original_units import original_columns
from dlexp.specs import ClassSpec, TableSpec
from dlexp.tasks.generative.base import GenerativeTask
from dlexp.workflows.evaluate.generated.judge import Judge, Judgement, Say, real_judge, trained_judge
from dlexp.workflows.evaluate.generated.measures import (
    Copies,
    SampleFeatures,
    SampleFigure,
    agreement_figure,
    feature_figures,
    find_copies,
    mode_figures,
    shares_figure,
)
from dlexp.workflows.evaluate.generated.reading import RealSamples, TrainingPieces, as_rows, read_real
from dlexp.workflows.evaluate.generated.samples import MOST, GeneratedSamples, SampleWishes, made_samples
from dlexp.workflows.evaluate.generated.scale import CommonScale

_FEWEST_FEATURES = 3  # of a table; those of one or two columns are taken as they are


@dataclass(frozen=True)
class SampleComparison:
    """Samples and real data on the common scale.

    Attributes:
        bundle: The data.
        split: The evaluated one.
        made: Those samples that are finite, in the network's own numbers.
        left_out: How many were not.
        inputs: (N, *shape) the same on the common scale.
        stand_in: Real samples in their place, from the training split; from the validation split where the training
            split is evaluated.
        reference: (M, ...) of the evaluated split.
    """

    scale: CommonScale
    bundle: DataBundle
    split: str
    made: GeneratedSamples
    left_out: int
    inputs: Tensor
    stand_in: RealSamples
    reference: RealSamples
    device: torch.device
    say: Say

    @classmethod
    def at(cls, experiment: Experiment, task: GenerativeTask, split: str, request: SampleWishes) -> SampleComparison:
        """Make the samples and read the real ones."""
        scale = CommonScale.of(experiment.bundle)
        bundle, seed = scale.applied(experiment.bundle), experiment.config.seed
        made = made_samples(experiment, task, request)
        is_finite = made.inputs.flatten(1).isfinite().all(dim=1)
        finite = replace(
            made, inputs=made.inputs[is_finite], classes=None if made.classes is None else made.classes[is_finite]
        )
        stand_in = read_real(bundle, "val" if split == "train" else "train", max(1, len(finite.inputs)), seed)
        reference = read_real(bundle, split, MOST, seed)
        left_out = int((~is_finite).sum())
        inputs = scale(finite.inputs)
        return cls(scale, bundle, split, finite, left_out, inputs, stand_in, reference, experiment.device, request.say)

    def has_figure(self, name: str) -> bool:
        """Whether samples of this run have a figure of this name."""
        if name == "class_agreement":
            return bool(self.classes) and self.made.classes is not None
        if name in ("modes", "good_samples"):
            return self.bundle.modes is not None
        return bool(self.classes) or name not in ("cas", "class_distance")

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the C classes, () without."""
        targets = self.bundle.spec.targets
        return targets.names if isinstance(targets, ClassSpec) and len(targets.names) > 1 else ()

    @cached_property
    def judge(self) -> Judge | None:
        """The classifier of the real training split; None without classes."""
        return real_judge(self.bundle, self.device, self.say) if self.classes else None

    @cached_property
    def judged(self) -> tuple[Judgement, Judgement, Judgement]:
        """What it says of samples, stand-ins and the evaluated split."""
        assert self.judge is not None, "only data with classes have a classifier"
        return (
            self.judge.judge([self.inputs]),
            self.judge.judge([self.stand_in.inputs]),
            self.judge.judge([self.reference.inputs]),
        )

    @property
    def accuracy(self) -> float:
        """Of the classifier on the evaluated split."""
        return float((self.judged[2].predicted == self.reference.targets).mean())

    @property
    def has_features(self) -> bool:
        """Whether samples are compared by features of the classifier, and not as they are."""
        inputs = self.bundle.spec.inputs
        return self.judge is not None and not (isinstance(inputs, TableSpec) and inputs.num_features < _FEWEST_FEATURES)

    @cached_property
    def features(self) -> SampleFeatures:
        """Of samples, stand-ins and the evaluated split: the classifier's, or the numbers themselves."""
        if self.has_features:
            return SampleFeatures(*(found.features for found in self.judged))
        parts = (self.inputs, self.stand_in.inputs, self.reference.inputs)
        return SampleFeatures(*(as_rows(part).astype("float64") for part in parts))

    @cached_property
    def copies(self) -> Copies:
        """How near the samples are to training samples."""
        held_out = self.stand_in if self.split == "train" else self.reference
        self.say("search for copies of training samples")
        return find_copies(as_rows(self.inputs), as_rows(held_out.inputs), TrainingPieces(self.bundle))

    def figures(self) -> dict[str, SampleFigure]:
        """All figures, by name."""
        found = dict(feature_figures(self.features))
        found["near_copies"] = self.copies.figure
        if self.classes:
            samples, stand_in, reference = (one.predicted for one in self.judged)
            if self.made.classes is not None:
                found["class_agreement"] = agreement_figure(self.made.classes.numpy(), samples, self.accuracy)
            found["cas"] = self._accuracy_of_samples()
            found["class_distance"] = shares_figure(samples, stand_in, reference, len(self.classes))
        if self.bundle.modes is not None:
            parts = (self._in_units(self.inputs), self._in_units(self.stand_in.inputs))
            found |= dict(mode_figures(*parts, self.bundle.modes))
        return found

    def _in_units(self, inputs: Tensor) -> NDArray[np.float64]:
        """Rows of numbers (N, F) in the units of the data."""
        columns = original_columns(as_rows(inputs), self.bundle.preprocessing)
        return np.stack([np.asarray(column, dtype=np.float64) for column in columns.values()], axis=1)

    def _accuracy_of_samples(self) -> SampleFigure:
        """The accuracy of a classifier of the samples alone on the evaluated split (Ravuri and Vinyals 2019)."""
        labels = torch.from_numpy(self.judged[0].predicted) if self.made.classes is None else self.made.classes
        samples = Split.in_memory(self.scale.source(self.made.inputs), labels, torch.arange(len(labels)))
        assert isinstance(self.bundle.spec.targets, ClassSpec)
        spec = replace(self.bundle.spec, targets=replace(self.bundle.spec.targets, counts=()))
        bundle = replace(self.bundle, spec=spec, splits={**self.bundle.splits, "train": samples})
        trained = trained_judge(bundle, self.device, self.say, "samples")
        hits = trained.judge([self.reference.inputs]).predicted == self.reference.targets
        return replace(SampleFigure.share(hits, None), real=self.accuracy)
