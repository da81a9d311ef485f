"""Layers made narrower, and replaced by two of a smaller rank.

Symbols: I inputs (channels or features) and O outputs of a layer, R its rank, K the numbers of a kernel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from dlexp.compression.structure import Structure
from dlexp.networks.layers import NORMS

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_OF_CHANNELS = ("weight", "bias", "running_mean", "running_var")  # tensors of a normalization, one number a channel
_COUNTS = ("num_features", "num_channels", "num_parameters")


def module_at(network: nn.Module, name: str) -> nn.Module | nn.Parameter:
    """The module or parameter of that name. Raises AttributeError where there is none."""
    holder, _, last = name.rpartition(".")
    found = getattr(network.get_submodule(holder), last)
    if not isinstance(found, nn.Module | nn.Parameter):
        raise AttributeError(f"{name} is neither a layer nor a parameter")
    return found


def replace_module(network: nn.Module, name: str, new: nn.Module) -> None:
    """Put another module in the place of that name."""
    holder, _, last = name.rpartition(".")
    setattr(network.get_submodule(holder), last, new)


def is_depthwise(layer: nn.Module) -> bool:
    """Return whether the layer is a convolution of each channel by itself."""
    return (
        isinstance(layer, CONVOLUTIONS) and layer.groups > 1 and layer.groups == layer.in_channels == layer.out_channels
    )


def sizes_of(part: nn.Module | nn.Parameter) -> tuple[int, ...] | None:
    """(I, O) of a dense layer or convolution, (O,) of a part with one number a channel; None for any other."""
    if isinstance(part, nn.Linear):
        return part.in_features, part.out_features
    if isinstance(part, CONVOLUTIONS):
        return part.in_channels, part.out_channels
    if isinstance(part, nn.Parameter):
        return (part.shape[0],) if part.numel() == part.shape[0] else None
    weight = getattr(part, "running_mean", None)
    weight = getattr(part, "weight", None) if weight is None else weight
    is_known = isinstance(part, (*NORMS, nn.PReLU)) or not any(True for _ in part.children())
    if is_known and isinstance(weight, Tensor) and weight.numel() == weight.shape[0]:
        return (weight.shape[0],)
    return None


def keep(network: nn.Module, name: str, inputs: Tensor | None, outputs: Tensor | None) -> None:
    """Keep some inputs and outputs of a layer, in place.

    Args:
        network: The network.
        name: Of the layer, or of a parameter with one number a channel.
        inputs: Numbers of those that stay, None for all. A depthwise convolution keeps the same inputs and outputs.
        outputs: Numbers of those that stay, None for all; of a normalization its channels.

    Raises TypeError for a layer of another kind.
    """
    part = module_at(network, name)
    if isinstance(part, nn.Parameter):
        if outputs is not None:
            holder, _, last = name.rpartition(".")
            setattr(network.get_submodule(holder), last, _parameter(part[outputs], part))
        return
    if isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
        _keep_of_weights(part, inputs, outputs)
    elif outputs is not None and sizes_of(part) is not None:
        _keep_of_channels(part, outputs)
    elif outputs is not None:
        raise TypeError(f"{name} is a {type(part).__name__}, whose channels cannot be removed")


def apply_structure(network: nn.Module, structure: Structure) -> None:
    """Give a network that its constructor made the layers of a compressed one, in place.

    New layers have random weights; narrower ones keep the first of their inputs and outputs, scaled by the root of the
    share of inputs that stay, so that outputs vary as much as before.
    Raises ValueError for a layer that there is not, and for more inputs or outputs than it has.
    """
    for name, rank in structure.ranks.items():
        layer = _layer(network, name)
        if not isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d) or not has_ranks(layer):
            raise ValueError(f"{name} is a {type(layer).__name__}, which no two layers of a smaller rank replace")
        if rank > largest_rank(layer):
            raise ValueError(f"{name} has a rank of at most {largest_rank(layer)}, got {rank}")
        replace_module(network, name, two_layers(layer, rank))
    for name, sizes in structure.widths.items():
        part = _layer(network, name)
        own = sizes_of(part)
        if own is None or len(own) != len(sizes) or any(new > old for new, old in zip(sizes, own, strict=True)):
            have = "no width" if own is None else f"the width {'x'.join(map(str, own))}"
            raise ValueError(f"{name} has {have}, of which {'x'.join(map(str, sizes))} cannot stay")
        kept = [torch.arange(size) for size in sizes]
        keep(network, name, kept[0] if len(kept) == 2 else None, kept[-1])
        if len(own) == 2 and sizes[0] < own[0] and not is_depthwise(network.get_submodule(name)):
            with torch.no_grad():
                network.get_submodule(name).weight.mul_(math.sqrt(own[0] / sizes[0]))  # type: ignore[operator]


def structure_between(network: nn.Module, compressed: nn.Module, ranks: Mapping[str, int]) -> Structure:
    """The structure that makes `compressed` of a network as its constructor makes it; `ranks` as they were replaced.

    The network gets the layers of the ranks.
    """
    apply_structure(network, Structure(ranks))
    parts: dict[str, nn.Module | nn.Parameter] = dict(network.named_modules())
    parts |= {name: p for name, p in network.named_parameters() if "weight" not in name and "bias" not in name}
    widths: dict[str, tuple[int, ...]] = {}
    for name, part in parts.items():
        if not name:
            continue
        before, after = sizes_of(part), sizes_of(module_at(compressed, name))
        if before != after and after is not None:
            widths[name] = after
    return Structure(dict(ranks), widths)


def has_ranks(layer: nn.Module) -> bool:
    """Return whether two layers of a smaller rank can replace this one: dense, or a convolution of all channels."""
    is_plain = isinstance(layer, CONVOLUTIONS) and type(layer) in CONVOLUTIONS and layer.groups == 1
    return type(layer) is nn.Linear or is_plain


def largest_rank(layer: nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d) -> int:
    """min(O, I * K)."""
    return min(layer.weight.shape[0], layer.weight[0].numel())


def two_layers(layer: nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d, rank: int) -> nn.Sequential:
    """Two layers of random weights in the place of one: its inputs to R, with its kernel and stride, and R to O."""
    has_bias = layer.bias is not None
    options = {"device": layer.weight.device, "dtype": layer.weight.dtype}
    if isinstance(layer, nn.Linear):
        first: nn.Module = nn.Linear(layer.in_features, rank, bias=False, **options)
        return nn.Sequential(first, nn.Linear(rank, layer.out_features, bias=has_bias, **options))
    kind: Callable[..., nn.Module] = type(layer)
    first = kind(
        layer.in_channels,
        rank,
        layer.kernel_size,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        bias=False,
        padding_mode=layer.padding_mode,
        **options,
    )
    return nn.Sequential(first, kind(rank, layer.out_channels, 1, bias=has_bias, **options))


def _layer(network: nn.Module, name: str) -> nn.Module | nn.Parameter:
    try:
        return module_at(network, name)
    except AttributeError as error:
        raise ValueError(f"the model has no layer {name}") from error


def _keep_of_weights(
    layer: nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d, inputs: Tensor | None, outputs: Tensor | None
) -> None:
    weight, bias = layer.weight.detach(), layer.bias
    depthwise = is_depthwise(layer)
    if outputs is not None:
        weight = weight[outputs]
        if bias is not None:
            layer.bias = _parameter(bias[outputs], bias)
    if inputs is not None and not depthwise:
        weight = weight[:, inputs]
    layer.weight = _parameter(weight, layer.weight)
    if isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = weight.shape
        return
    layer.out_channels = weight.shape[0]
    layer.in_channels = weight.shape[0] if depthwise else weight.shape[1] * layer.groups
    layer.groups = weight.shape[0] if depthwise else layer.groups


def _keep_of_channels(part: nn.Module, channels: Tensor) -> None:
    for name in _OF_CHANNELS:
        values = getattr(part, name, None)
        if isinstance(values, nn.Parameter):
            setattr(part, name, _parameter(values[channels], values))
        elif isinstance(values, Tensor):
            setattr(part, name, values[channels].clone())
    for name in _COUNTS:
        if hasattr(part, name):
            setattr(part, name, len(channels))
    if isinstance(part, nn.LayerNorm | nn.RMSNorm):
        part.normalized_shape = (len(channels),)


def _parameter(values: Tensor, before: Tensor) -> nn.Parameter:
    return nn.Parameter(values.detach().clone(), requires_grad=before.requires_grad)
