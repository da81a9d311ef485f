"""The network by whose features a task compares images: published, random, or that of a run.

A run brings architecture, weights and preprocessing; its configuration can name what is on the allow-list alone, and
its weights are read without running code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dlexp.artifacts.checkpoints.checkpoint import CheckpointStore, naming
from dlexp.artifacts.files.reading import is_file, is_folder
from dlexp.artifacts.runs.run_files import read_run_file
from dlexp.config.saved import load_saved
from dlexp.config.schema.run import RunConfig
from dlexp.data.preprocess import Affine, Preprocess
from dlexp.engine.state import load_weights, weights_for
from dlexp.errors import ConfigError, DlexpError
from dlexp.models.generative.features import KEY, FeatureNetwork, named_features
from dlexp.runtime.seed import generator
from dlexp.specs import DataSpec, ImageSpec, ImageTargetSpec

NONE = "none"
_PUBLISHED = ("random", "vgg19")

Build = Callable[[RunConfig, DataSpec, Sequence[str]], nn.ModuleDict]  # the networks of a run, with random weights


def feature_network(
    config: RunConfig, spec: DataSpec, trusted: Sequence[str], device: torch.device, build: Build
) -> FeatureNetwork | None:
    """The network of task.features on `device`; None where the task has no such key, or none is wanted.

    Random numbers are drawn as if there were none.

    Args:
        config: Of the run that compares images.
        spec: Of its data, whose targets are images.
        trusted: Trusted packages.
        device: Where it runs.
        build: Makes the networks of a run.

    Raises:
        ConfigError: There is no such run or no such weights, or the network is not for images.
    """
    given, targets = config.task.arguments.get("features", NONE), spec.targets
    if given == NONE or not isinstance(targets, ImageTargetSpec):
        return None
    with torch.random.fork_rng(devices=[]):
        if given in _PUBLISHED:
            found = named_features(str(given), targets.channels)
        else:
            found = _of_run(Path(str(given)), trusted, build)
        found.find_layers(torch.rand(1, *targets.shape, generator=generator(0, "features")))
    return found.to(device)


def _of_run(folder: Path, trusted: Sequence[str], build: Build) -> FeatureNetwork:
    """The network called model of the run in `folder`, with the weights of its best epoch."""
    files = [folder / name for name in ("config.yaml", "preprocessing.json")]
    if not is_folder(folder) or not all(map(is_file, files)):
        rule = "is not random, vgg19 or the directory of a run" if is_folder(folder) else "run not found"
        remedy = "List runs with dlexp runs; if it was moved, set task.features=NEW_PLACE"
        raise ConfigError.one(KEY, str(folder), rule, remedy, code="not-found")
    config, found = load_saved(files[0], {}), read_run_file(files[1])
    if config.model.arguments.get("pretrained"):  # its weights are replaced below, so they need not be downloaded
        config = load_saved(files[0], {"model.pretrained": False})
    try:
        spec, preprocess = DataSpec.from_plain(found["spec"]), Preprocess.from_plain(found["preprocess"])
    except (ValueError, KeyError, TypeError) as error:
        rule = f"the description of its data cannot be read: {error}"
        raise ConfigError.one(KEY, str(folder), rule, code="corrupted") from error
    inputs, white = spec.inputs, found.get("white")
    if not isinstance(inputs, ImageSpec) or inputs.channels not in (1, 3) or not white:
        rule = "was not trained on images of one or three channels whose white is known"
        raise ConfigError.one(KEY, str(folder), rule, "Name a run that was trained on images.", code="incompatible-run")
    networks = build(config, spec, trusted)
    state = CheckpointStore(folder / "checkpoints", lambda text: None).load_best()
    if state is None or "model" not in networks:
        rule = "has no best checkpoint" if state is None else "has no network called model"
        raise ConfigError.one(KEY, str(folder), rule, "Name another run.", code="incompatible-run")
    try:
        with naming(folder / "checkpoints" / "best.pt"):
            load_weights(networks, weights_for(networks, state))
    except DlexpError as error:
        raise ConfigError.one(KEY, str(folder), str(error), "Name another run.", code=error.code) from error
    return FeatureNetwork(networks["model"], inputs.channels, _Prepared(preprocess, float(white), folder))


class _Prepared:
    """Images in [0, 1] as the network of a run read its own."""

    def __init__(self, preprocess: Preprocess, white: float, folder: Path) -> None:
        """Raises ConfigError for a preprocessing of images of one size."""
        self._white = white
        self._maps: dict[torch.device, Any] = {torch.device("cpu"): preprocess}
        if isinstance(preprocess, Affine) and any(
            side > 1 for part in (preprocess.scale, preprocess.shift) for side in _once(part).shape[-2:]
        ):
            rule = "was trained on images from which the mean of each pixel was subtracted"
            raise ConfigError.one(KEY, str(folder), rule, "Name another run.", code="incompatible-run")
        if isinstance(preprocess, Affine):
            self._maps = {torch.device("cpu"): Affine(_once(preprocess.scale), _once(preprocess.shift))}

    def __call__(self, images: Tensor) -> Tensor:
        """(B, C, H, W) in [0, 1] -> the same shape."""
        if images.device not in self._maps:
            self._maps[images.device] = self._maps[torch.device("cpu")].to(images.device)
        found: Tensor = self._maps[images.device](images.float() * self._white)
        return found


def _once(values: Tensor) -> Tensor:
    """`values` (..., H, W) as (..., 1, 1) where they are the same at all places."""
    if values.dim() < 2:
        return values
    first = values[..., :1, :1]
    return first if torch.equal(values, first.expand_as(values)) else values
