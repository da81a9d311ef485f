"""The outputs of a layer for one sample, and the filters of the first layer.

Symbols: M maps, H and W height and width, T positions, F features, U units.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dlexp.errors import ConfigError
from dlexp.networks.inspection.outputs import innermost, layers_of, recording
from dlexp.specs import ImageSpec
from dlexp.text.nearest import nearest_name
from dlexp.types import Batch, as_tensor
from dlexp.workflows.inspect.loaded_run import LoadedRun
from dlexp.workflows.inspect.request import InspectRequest

_MOST_NAMES = 40
Figures = tuple[dict[str, Callable[[], bytes]], dict[str, Any]]


def inspect_features(loaded: LoadedRun, request: InspectRequest) -> Figures:
    """A figure of the outputs of each named layer for one sample.

    Raises:
        ConfigError: No such layer or sample, or a layer that is not called or puts out no tensor; all at once.
    """
    layers = layers_of(loaded.experiment.networks)
    _refuse_unknown(request.features, layers)
    batch = _one_sample(loaded, request)
    outputs: dict[str, Tensor] = {}
    chosen = {name: layers[name] for name in request.features}
    with recording(chosen, lambda name, _, output: outputs.setdefault(name, output[:1].double().cpu())):
        list(loaded.compute(iter([batch])))
    if silent := [name for name in request.features if name not in outputs]:
        rule = "puts out no tensor of its own for a sample: it is not called, or only by the layer around it"
        raise ConfigError.one("--features", ", ".join(silent), rule, _around(silent[0], layers), code="not-supported")
    image = _image(batch, loaded)
    facts = {
        name: {"shape": list(output.shape[1:]), "kind": type(layers[name]).__name__, "sample": request.sample}
        for name, output in outputs.items()
    }
    about = f"sample {request.sample} of {request.split}"
    return {
        f"features_{_file_name(name)}": _picture(f"{name} ({type(layers[name]).__name__}), {about}", output[0], image)
        for name, output in outputs.items()
    }, facts


def _refuse_unknown(names: tuple[str, ...], layers: dict[str, nn.Module]) -> None:
    unknown = [name for name in names if name not in layers]
    if not unknown:
        return
    near = nearest_name(unknown[0], layers)
    known = list(innermost(layers))
    more = f", and {len(known) - _MOST_NAMES} more" if len(known) > _MOST_NAMES else ""
    rule = f"is no layer; there are {', '.join(known[:_MOST_NAMES])}{more}"
    remedy = f"Did you mean --features {near}?" if near else f"Use --features {known[0]}"
    raise ConfigError.one("--features", ", ".join(unknown), rule, remedy, code="not-found")


def _around(name: str, layers: dict[str, nn.Module]) -> str:
    parent = name.rpartition(".")[0]
    return f"Use --features {parent}" if parent in layers else ""


def _one_sample(loaded: LoadedRun, request: InspectRequest) -> Batch:
    bundle, total = loaded.experiment.bundle, len(loaded.experiment.bundle.splits[request.split])
    if request.sample >= total:
        rule = f"must be below {total}, the number of samples of {request.split}"
        raise ConfigError.one("--sample", request.sample, rule, f"Use --sample {total - 1}", code="out-of-range")
    from dlexp.data.loaders import EvalBatches

    one = bundle.with_split_subset(request.split, torch.tensor([request.sample]))
    return next(iter(EvalBatches(one, request.split, 1, loaded.experiment.device)))


def _image(batch: Batch, loaded: LoadedRun) -> NDArray[np.uint8] | None:
    """The first sample as it reaches the network, from black (its smallest number) to white; None for other inputs."""
    if not isinstance(loaded.experiment.bundle.spec.inputs, ImageSpec):
        return None
    pixels = as_tensor(batch.inputs)[0].double().cpu()
    spread = float(pixels.max() - pixels.min()) or 1.0
    levels: NDArray[np.uint8] = ((pixels - pixels.min()) * (255 / spread)).round().byte().numpy()
    return levels[0] if len(levels) < 3 else levels[:3].transpose(1, 2, 0)


def _picture(title: str, output: Tensor, image: NDArray[np.uint8] | None) -> Callable[[], bytes]:
    values = output.numpy()

    def draw() -> bytes:
        from dlexp.report.figures.inspection.maps import maps_png, matrix_png, units_png

        if values.ndim >= 3:
            return maps_png(title, values.reshape(-1, *values.shape[-2:]), image)
        if values.ndim == 2:
            return matrix_png(title, values, ("first dimension", "second dimension"))
        return units_png(title, values.reshape(-1))

    return draw


def inspect_filters(loaded: LoadedRun) -> Figures:
    """The weights of the first convolution or linear layer as pictures.

    Raises ConfigError for a network with neither.
    """
    experiment = loaded.experiment
    layers = layers_of(experiment.networks)
    kinds = (nn.modules.conv._ConvNd, nn.Linear)
    found = [(name, module) for name, module in layers.items() if isinstance(module, kinds)]
    if not found:
        rule = "has no convolution and no linear layer"
        remedy = "Use --weights, which draws the parameters of every layer."
        raise ConfigError.one("--filters", experiment.config.model.option, rule, remedy, code="not-supported")
    name, module = found[0]
    weight: Tensor = module.weight.detach().double().cpu()
    spec = experiment.bundle.spec.inputs
    if weight.dim() == 2 and isinstance(spec, ImageSpec) and weight.shape[1] == int(np.prod(spec.shape)):
        weight = weight.reshape(-1, *spec.shape)  # of a unit, the weight of each pixel
    title = f"filters of {name} ({type(module).__name__}, {' x '.join(map(str, module.weight.shape))})"
    facts = {"layer": name, "kind": type(module).__name__, "shape": list(module.weight.shape)}
    return {"filters": _filters_picture(title, weight)}, facts


def _filters_picture(title: str, weight: Tensor) -> Callable[[], bytes]:
    values = weight.numpy()

    def draw() -> bytes:
        from dlexp.report.figures.inspection.maps import colors_png, maps_png, matrix_png

        if values.ndim == 4 and values.shape[1] == 3:
            return colors_png(title, values.transpose(0, 2, 3, 1))
        if values.ndim >= 4:  # a map for each input channel of each filter
            return maps_png(title, values.reshape(-1, *values.shape[-2:]), signed=True)
        return matrix_png(title, values.reshape(len(values), -1), ("filter", "weight"))

    return draw


def _file_name(layer: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in layer)
