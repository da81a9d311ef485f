"""The channels of a network, followed from layer to layer.

The network is traced by torch.fx and computed on a few samples; beside each tensor the axes of its channels are kept.
Anything that is not known to leave channels apart keeps those that it reads whole, with its name as the reason (such
dependencies: Li et al. 2017, arXiv:1608.08710; Fang et al. 2023, arXiv:2301.12900).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from dlexp.compression.axes import Axis, ChannelGraph, Segment
from dlexp.compression.layers import CONVOLUTIONS, is_depthwise, sizes_of
from dlexp.networks.layers import NORMS

_ELEMENTWISE_MODULES = ("torch.nn.modules.activation", "torch.nn.modules.dropout", "torch.nn.modules.pooling")
_MIXING = (nn.MultiheadAttention, nn.Softmax, nn.Softmax2d, nn.LogSoftmax, nn.Softmin, nn.GLU)
_SIMPLE = (nn.Identity, nn.Upsample)
_ELEMENTWISE: tuple[Callable[..., Any], ...] = (
    *(torch.relu, torch.sigmoid, torch.tanh, torch.clamp, torch.abs, torch.exp, operator.neg),
    *(F.relu, F.relu6, F.gelu, F.silu, F.mish, F.elu, F.selu, F.leaky_relu, F.hardswish, F.hardsigmoid, F.hardtanh),
    *(F.sigmoid, F.tanh, F.softplus, F.dropout, F.dropout2d, F.interpolate),
    *(F.max_pool1d, F.max_pool2d, F.avg_pool1d, F.avg_pool2d, F.adaptive_avg_pool1d, F.adaptive_avg_pool2d),
)
_ELEMENTWISE_NAMES = (
    *("relu", "relu_", "sigmoid", "tanh", "clamp", "clamp_", "contiguous", "to", "float", "detach", "clone", "abs"),
    *("neg", "exp", "stochastic_depth", "max_pool1d", "max_pool2d", "boolean_dispatch"),
)
_BINARY = {
    *(operator.add, operator.iadd, operator.sub, operator.mul, operator.imul, operator.truediv),
    *(torch.add, torch.sub, torch.mul, torch.div),
}
_BINARY_METHODS = ("add", "add_", "sub", "mul", "mul_", "div")
_COMPARISONS = {operator.gt, operator.lt, operator.ge, operator.le}


@dataclass(frozen=True)
class _Channels:
    """The dimension of the channels of a tensor, counted from the front, and their axes."""

    dim: int
    segments: tuple[Segment, ...]

    def freeze(self, reason: str) -> None:
        for axis, _ in self.segments:
            axis.freeze(reason)


class CannotFollow(Exception):
    """The network cannot be taken apart; the message names the layer that is in the way."""


class _Tracer(fx.Tracer):
    """Layers of torch and normalizations with a number for each channel stay whole."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.path = ""
        # Before tracing, in which parameters are placeholders.
        self._whole = {name for name, layer in network.named_modules() if _is_norm(layer)}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        is_whole = module_qualified_name in self._whole or type(m).__name__ == "StochasticDepth"
        return is_whole or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        before, self.path = self.path, self.path_of_module(m)
        found = super().call_module(m, forward, args, kwargs)
        self.path = before  # of a module that raises, the path stays
        return found


def channel_graph(network: nn.Module, inputs: Tensor) -> ChannelGraph:
    """Follow the channels of a network from its inputs, a few samples, to its outputs.

    The network is put into evaluation mode. Raises CannotFollow.
    """
    network.eval()
    tracer = _Tracer(network)
    try:
        traced = fx.GraphModule(network, tracer.trace(network))
    except Exception as error:  # the code of a network may do anything with a placeholder
        where = f"{tracer.path} ({type(network.get_submodule(tracer.path)).__name__})" if tracer.path else "the network"
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CannotFollow(f"{where} cannot be traced: {text}") from error
    followed = _Follower(traced)
    with torch.no_grad():
        followed.run(inputs)
    return followed.graph_of_channels


class _Follower(fx.Interpreter):
    """Computes a traced network, with the channels of each tensor."""

    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced)
        self.graph_of_channels = ChannelGraph()
        self._channels: dict[fx.Node, _Channels] = {}
        self._parameters: dict[fx.Node, str] = {}
        self._shapes: dict[fx.Node, tuple[int, ...]] = {}

    def run_node(self, n: fx.Node) -> Any:
        found = super().run_node(n)
        if isinstance(found, Tensor):
            self._shapes[n] = tuple(found.shape)
        made = self._follow(n, found)
        if made is not None and isinstance(found, Tensor):
            self._channels[n] = made
        return found

    def _follow(self, node: fx.Node, found: Any) -> _Channels | None:
        """The channels of the result of a node."""
        if node.op == "call_module":
            return self._module(node, self.fetch_attr(str(node.target)), found)
        if node.op == "get_attr":
            value = self.fetch_attr(str(node.target))
            if isinstance(value, nn.Parameter):
                self._parameters[node] = str(node.target)
            return None
        if node.op == "output":
            return self._freeze(node, "its outputs are those of the network")
        if node.op in ("call_function", "call_method"):
            return self._operation(node, found)
        return None

    def _module(self, node: fx.Node, module: nn.Module, found: Any) -> _Channels | None:
        name, read = str(node.target), self._of_first(node)
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            return self._weights(node, name, module, read)
        if read is None:
            return None
        if isinstance(module, nn.PReLU) and module.num_parameters == 1:
            return read
        if _is_norm(module):
            return self._norm(node, name, module, read)
        if isinstance(module, nn.modules.batchnorm._NormBase) and not module.affine:
            return self._freeze(node, f"{name} has statistics and no weights")
        if isinstance(module, NORMS):
            return self._freeze(node, f"{name} normalizes other dimensions as well")
        kind = type(module)
        if isinstance(module, _MIXING):
            return self._freeze(node, f"{name} ({kind.__name__}) mixes its channels")
        if isinstance(module, _SIMPLE) or kind.__module__ in _ELEMENTWISE_MODULES or kind.__name__ == "StochasticDepth":
            return read
        if isinstance(module, nn.Flatten):
            return self._reshaped(node, read, found)
        return self._freeze(node, f"{name} ({kind.__name__}) reads them")

    def _weights(self, node: fx.Node, name: str, layer: nn.Module, read: _Channels | None) -> _Channels | None:
        graph, (num_inputs, num_outputs) = self.graph_of_channels, sizes_of(layer) or (0, 0)
        dim = len(self._shapes[node]) - 1 if isinstance(layer, nn.Linear) else 1
        if name in graph.outputs:
            reason = f"{name} is used more than once"
            for axis, _ in (*graph.outputs[name], *graph.inputs.get(name, ())):
                axis.freeze(reason)
            self._freeze(node, reason)
            return _Channels(dim, tuple(graph.outputs[name]))
        if read is not None and (read.dim != dim or sum(a.size * block for a, block in read.segments) != num_inputs):
            read.freeze(f"{name} reads them along another dimension")
            read = None
        if is_depthwise(layer) and read is not None and len(read.segments) == 1 and read.segments[0][1] == 1:
            graph.outputs[name] = graph.inputs[name] = list(read.segments)
            return read
        if isinstance(layer, CONVOLUTIONS) and layer.groups > 1:
            if read is not None:
                read.freeze(f"{name} is a grouped convolution")
            read = None
        axis = Axis(num_outputs)
        if isinstance(layer, CONVOLUTIONS) and layer.groups > 1:
            axis.freeze(f"{name} is a grouped convolution")
        graph.outputs[name] = [(axis, 1)]
        graph.makers.append(name)
        if read is not None:
            graph.inputs[name] = list(read.segments)
        return _Channels(dim, ((axis, 1),))

    def _norm(self, node: fx.Node, name: str, module: nn.Module, read: _Channels) -> _Channels | None:
        own, shape = sizes_of(module), self._shapes[node]
        is_last = type(module) in (nn.LayerNorm, nn.RMSNorm)  # torchvision has one over the channels of images
        if (
            own is None
            or own[0] != sum(a.size * b for a, b in read.segments)
            or read.dim != (len(shape) - 1 if is_last else 1)
        ):
            return self._freeze(node, f"{name} ({type(module).__name__}) has another number of channels")
        if isinstance(module, nn.GroupNorm) and module.num_groups > 1:
            if len(read.segments) > 1 or read.segments[0][1] > 1:
                return self._freeze(node, f"{name} normalizes groups of channels of several layers")
            read.segments[0][0].divide(module.num_groups)
        if name in self.graph_of_channels.outputs:
            return self._freeze(node, f"{name} is used more than once")
        self.graph_of_channels.outputs[name] = list(read.segments)
        return read

    def _operation(self, node: fx.Node, found: Any) -> _Channels | None:
        target = node.target
        label = target if isinstance(target, str) else getattr(target, "__name__", str(target))
        read = self._of_first(node)
        if target in _BINARY or (node.op == "call_method" and target in _BINARY_METHODS):
            return self._combined(node, found)
        if not isinstance(found, Tensor):
            return None
        if target in _COMPARISONS or target in _ELEMENTWISE or label in _ELEMENTWISE_NAMES:
            return read
        if label in ("flatten", "view", "reshape", "squeeze", "unsqueeze") and read is not None:
            return self._reshaped(node, read, found)
        if label == "mean" and read is not None:
            return self._mean(node, read, found)
        if label in ("permute", "transpose") and read is not None:
            return self._moved(node, label, read)
        if label in ("cat", "concat", "concatenate"):
            return self._concatenated(node, found)
        return self._freeze(node, f"{label} in {_place(node)} reads them")

    def _combined(self, node: fx.Node, found: Any) -> _Channels | None:
        """Two tensors added or multiplied element by element: their channels are joined."""
        nodes = [arg for arg in node.args if isinstance(arg, fx.Node)]
        known = [(n, self._channels[n]) for n in nodes if n in self._channels]
        if not known or not isinstance(found, Tensor):
            return self._freeze(node, f"{_place(node)} combines them") if known else None
        first_node, first = known[0]
        back = len(self._shapes[first_node]) - first.dim  # counted from the last dimension
        size = sum(axis.size * block for axis, block in first.segments)
        for other in nodes:
            if other is first_node or other not in self._shapes:
                continue
            shape = self._shapes[other]
            width = shape[-back] if len(shape) >= back else 1
            if other in self._channels and self._is_alike(other, back, first):
                for (one, _), (two, _) in zip(first.segments, self._channels[other].segments, strict=True):
                    one.join(two)
            elif other in self._parameters and width == size and all(block == 1 for _, block in first.segments):
                self._own_parameter(self._parameters[other], shape, first)
            elif width != 1 or other in self._channels:
                reason = f"{_place(node)} combines them with other values"
                first.freeze(reason)
                if other in self._channels:
                    self._channels[other].freeze(reason)
        return _Channels(found.ndim - back, first.segments)

    def _is_alike(self, other: fx.Node, back: int, first: _Channels) -> bool:
        two = self._channels[other]
        same_place = len(self._shapes[other]) - two.dim == back and len(two.segments) == len(first.segments)
        return same_place and all(
            a.size == b.size and m == n for (a, m), (b, n) in zip(first.segments, two.segments, strict=True)
        )

    def _own_parameter(self, name: str, shape: tuple[int, ...], read: _Channels) -> None:
        """A parameter with one number a channel, along its first dimension."""
        total = 1
        for size in shape:
            total *= size
        if shape[0] == total and len(read.segments) == 1:
            self.graph_of_channels.outputs[name] = list(read.segments)
        else:
            read.freeze(f"the parameter {name} has other dimensions")

    def _reshaped(self, node: fx.Node, read: _Channels, found: Tensor) -> _Channels | None:
        """Channels and pixels made one dimension, or nothing changed."""
        before = self._shapes[self._first(node)]
        if before == tuple(found.shape):
            return read
        if found.ndim == 2 and read.dim == 1 and found.shape[0] == before[0]:
            pixels = found.shape[1] // sum(axis.size * block for axis, block in read.segments)
            return _Channels(1, tuple((axis, block * pixels) for axis, block in read.segments))
        return self._freeze(node, f"{_place(node)} reshapes them")

    def _mean(self, node: fx.Node, read: _Channels, found: Tensor) -> _Channels | None:
        before = self._shapes[self._first(node)]
        given = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
        dims = [given] if isinstance(given, int) else given
        if not isinstance(dims, list | tuple) or not all(isinstance(dim, int) for dim in dims):
            return self._freeze(node, f"{_place(node)} takes their mean")
        gone = sorted(int(dim) % len(before) for dim in dims if isinstance(dim, int))
        if read.dim in gone:
            return self._freeze(node, f"{_place(node)} takes their mean")
        is_kept = found.ndim == len(before)
        return _Channels(read.dim if is_kept else read.dim - sum(dim < read.dim for dim in gone), read.segments)

    def _moved(self, node: fx.Node, label: str, read: _Channels) -> _Channels | None:
        count = len(self._shapes[self._first(node)])
        given = node.args[1:]
        order = list(given[0]) if len(given) == 1 and isinstance(given[0], list | tuple) else list(given)
        if not all(isinstance(dim, int) for dim in order):
            return self._freeze(node, f"{_place(node)} moves them")
        dims = [int(str(dim)) % count for dim in order]
        if label == "transpose":
            one, two = dims
            dims = list(range(count))
            dims[one], dims[two] = two, one
        return _Channels(dims.index(read.dim), read.segments)

    def _concatenated(self, node: fx.Node, found: Any) -> _Channels | None:
        parts = node.args[0] if node.args else node.kwargs.get("tensors")
        dim = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", node.kwargs.get("axis", 0))
        nodes = [part for part in parts if isinstance(part, fx.Node)] if isinstance(parts, list | tuple) else []
        known = [self._channels.get(part) for part in nodes]
        if isinstance(dim, int) and known and all(each is not None and each.dim == dim % found.ndim for each in known):
            return _Channels(dim % found.ndim, tuple(s for each in known if each is not None for s in each.segments))
        return self._freeze(node, f"{_place(node)} puts them beside other values")

    def _first(self, node: fx.Node) -> fx.Node:
        first = next(iter(node.args), None) if node.args else next(iter(node.kwargs.values()), None)
        assert isinstance(first, fx.Node)
        return first

    def _of_first(self, node: fx.Node) -> _Channels | None:
        first = node.args[0] if node.args else None
        return self._channels.get(first) if isinstance(first, fx.Node) else None

    def _freeze(self, node: fx.Node, reason: str) -> _Channels | None:
        """Keep all channels that a node reads whole; its result, which is returned, has none that are known."""
        for read in node.all_input_nodes:
            if read in self._channels:
                self._channels[read].freeze(reason)
        return None


def _is_norm(layer: nn.Module) -> bool:
    """Return whether the layer normalizes or scales channels, with a number for each."""
    is_kind = isinstance(layer, (*NORMS, nn.PReLU)) or type(layer).__name__ == "ChannelRms"
    return is_kind and sizes_of(layer) is not None


def _place(node: fx.Node) -> str:
    """The module in which an operation is made, and the operation."""
    stack: Mapping[str, Any] = node.meta.get("nn_module_stack") or {}
    path = ""
    for value in stack.values():
        path = str(value[0]) if isinstance(value, tuple) else path
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    return f"{path} ({name})" if path else f"an operation ({name})"
