"""A small classifier that tells what samples are like: trained once on the real training split, and kept.

It is made by the same assembly and the same loop as every run, in memory. Seed, network and length are fixed, so that
the runs on one data set are all judged by the same one.

Symbols: N samples, F features, C classes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dlexp.artifacts import classifier_cache
from dlexp.artifacts.classifier_cache import entry_name, find_classifier, keep_classifier
from dlexp.assemble.experiment import Experiment, assemble
from dlexp.assemble.training import prepare_training
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.schema.run import RunConfig
from dlexp.data.bundle import DataBundle
from dlexp.engine.loop import EpochRecord, StepRecord, fit
from dlexp.engine.state import load_weights
from dlexp.errors import DlexpError
from dlexp.networks.inspection.outputs import recording
from dlexp.networks.modes import evaluation_mode
from dlexp.runtime.seed import kept_randomness
from dlexp.runtime.signals import NeverStop
from dlexp.specs import ClassSpec, ImageSpec
from dlexp.workflows.prepare.in_memory import Nowhere

Say = Callable[[str], None]
_LEAST_SIDE = 4  # pixels of images that are convolved
_BATCH, _LEAST_UPDATES, _USUAL_EPOCHS, _MOST_UPDATES = 64, 400, 20, 2000
_IMAGES = (
    "data=digits",
    "data.augment=none",
    "model=simple_cnn",
    "model.channels=[32,64]",
    "model.norm=none",  # with batch normalization the features hear noise that nobody sees
    "model.fc=64",
    "model.dropout=0.2",
)
_OTHERS = ("data=iris", "model=mlp", "model.hidden=[128,64]")
_COMMON = (
    *("task=classification", "seed=0", "optim=adam", "optim.lr=0.002", "scheduler=cosine", "trainer.precision=fp32"),
    *(f"data.batch_size={_BATCH}", "data.eval_batch_size=500"),
)
VERSION = 1  # of what is above: a change of it needs another number


@dataclass(frozen=True)
class Judgement:
    """What the classifier says of N samples.

    Attributes:
        features: (N, F) float64, the inputs of its last layer.
        predicted: (N,) class numbers.
    """

    features: NDArray[np.float64]
    predicted: NDArray[np.int64]


@dataclass(frozen=True)
class Judge:
    """A trained classifier.

    Attributes:
        experiment: With its weights.
        updates: Of its training.
        is_cached: Whether it was found in the cache.
    """

    experiment: Experiment
    updates: int
    is_cached: bool

    def judge(self, pieces: Iterable[Tensor]) -> Judgement:
        """Samples on the common scale, in pieces (B, *shape)."""
        network = self.experiment.networks["model"]
        last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
        features: list[Tensor] = []
        classes: list[Tensor] = []

        def keep(name: str, module: nn.Module, given: Tensor) -> None:
            features.append(given.double().cpu())

        with evaluation_mode(network), torch.inference_mode(), recording({"last": last}, keep, inputs=True):
            for piece in pieces:
                for part in piece.split(self.experiment.config.eval_batch_size):
                    classes.append(network(part.to(self.experiment.device)).argmax(dim=1).cpu())
        return Judgement(torch.cat(features).numpy(), torch.cat(classes).numpy())


def real_judge(bundle: DataBundle, device: torch.device, say: Say = lambda text: None) -> Judge:
    """The classifier of the training split, from the cache or trained now.

    Args:
        bundle: The data on the common scale, with classes.
        device: Where it runs.
        say: Receives the progress.
    """
    folder, name = classifier_cache.classifier_folder(), entry_name(_description(bundle))
    found = find_classifier(folder, name)
    if found is not None:
        weights, facts = found
        try:
            with kept_randomness():
                experiment = assemble(_config(bundle, device)[0], (), bundle)
                load_weights(experiment.networks, weights)
            return Judge(experiment, int(facts["updates"]), True)
        except (DlexpError, KeyError, TypeError, ValueError):  # not the weights of this network: it is trained again
            pass
    trained = trained_judge(bundle, device, say, "real training samples")
    facts = {"updates": trained.updates, "samples": len(bundle.splits["train"])}
    keep_classifier(folder, name, trained.experiment.networks.state_dict(), facts)
    return trained


def trained_judge(bundle: DataBundle, device: torch.device, say: Say, what: str) -> Judge:
    """A classifier of the training split of `bundle`, which is on the common scale; `what` it is, for the progress."""
    with kept_randomness():
        config, updates = _config(bundle, device)
        experiment = assemble(config, (), bundle)
        setup = prepare_training(experiment)
        begun = time.monotonic()

        def observe(record: StepRecord | EpochRecord) -> None:
            if isinstance(record, EpochRecord):
                seconds = time.monotonic() - begun
                say(f"classifier of {what}: epoch {record.epoch} of {record.epochs}, {seconds:.0f} s")

        fit(setup.plan([observe]), setup.state, Nowhere(), NeverStop())
    return Judge(experiment, updates, False)


def _config(bundle: DataBundle, device: torch.device) -> tuple[RunConfig, int]:
    """(configuration, updates) of a classifier of these data."""
    samples = len(bundle.splits["train"])
    steps = ceil(samples / _BATCH)
    updates = min(_MOST_UPDATES, max(_LEAST_UPDATES, _USUAL_EPOCHS * steps))
    epochs = ceil(updates / steps)
    inputs = bundle.spec.inputs
    is_image = isinstance(inputs, ImageSpec) and min(inputs.height, inputs.width) >= _LEAST_SIDE
    words = (*(_IMAGES if is_image else _OTHERS), *_COMMON, f"trainer.device={device}", f"trainer.epochs={epochs}")
    return _composed(words), epochs * steps


@cache
def _composed(words: tuple[str, ...]) -> RunConfig:
    return load(words, Catalog())


def _description(bundle: DataBundle) -> dict[str, Any]:
    """Everything that the classifier depends on."""
    targets = bundle.spec.targets
    return {
        "version": VERSION,
        "data": bundle.fingerprint,
        "split": bundle.split_hash,
        "inputs": bundle.spec.inputs.to_plain(),
        "classes": list(targets.names) if isinstance(targets, ClassSpec) else [],
        "preprocess": bundle.preprocess.to_plain(),
        "preprocessing": dict(bundle.preprocessing),
    }
