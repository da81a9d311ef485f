"""The bridge from layers in NumPy to torch: a layer becomes a module, its backward pass a part of autograd's.

The arrays of a layer are the memory of the module's parameters and buffers, taken anew in each call: what loads, swaps
or updates those in torch changes the layer, and nothing is copied. A module made of a layer of torch is of that class
too, so that all that asks for its kind, its sizes or its initialization finds them.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import Any, TypeVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.errors import DlexpError
from dlexp.networks.multiply_adds import add_products
from dlexp.networks.outside_torch import computes_in_numpy
from dlexp.scratch.dropout import DrawnMasks
from dlexp.scratch.layer import Array, Layer

Network = TypeVar("Network", bound=nn.Module)


class NumpyModule(nn.Module):
    """A layer in NumPy as a module; its call is one function of autograd.

    Args:
        layer: The layer. Names of its parameters and buffers become names of the module.

    Attributes:
        layer: The layer.
    """

    computes_in_numpy = True
    layer: Layer
    _parts: list[tuple[nn.Module, Layer]]

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        for name, array in layer.parameters.items():
            self.register_parameter(name, nn.Parameter(torch.from_numpy(array)))
        for name, array in layer.buffers.items():
            self.register_buffer(name, torch.from_numpy(array))
        for name, child in layer.children().items():
            self.add_module(name, NumpyModule(child))
        self._take(layer)

    def _take(self, layer: Layer) -> None:
        """Compute with `layer` from now on. Raises ValueError if its arrays have other names than the module's."""
        self.__dict__["layer"] = layer
        modules = dict(self.named_modules())
        self.__dict__["_parts"] = [(modules.get(place, self), part) for place, part in layer.layers()]
        named, known = [name for name, _ in self.named_parameters()], list(layer.named("parameters"))
        if set(named) != set(known):
            raise ValueError(f"the layer has {', '.join(known)}, the module {', '.join(named)}")
        for _, part in self._parts:
            if isinstance(part, DrawnMasks):
                part.draw = _drawn_mask

    def forward(self, x: Tensor, *others: Tensor | None) -> Tensor:
        """Return what the layer makes of `x` and, without derivatives, of `others`; None among them is left out."""
        parameters = [tensor for module, part in self._parts for tensor in _own(module, part).values()]
        given = [other for other in others if other is not None]
        return cast(Tensor, _InNumpy.apply(self, given, x, *parameters))

    def bind(self) -> None:
        """Let the arrays, the mode and the settings of the layer be those of the module."""
        for module, part in self._parts:
            for name, parameter in _own(module, part).items():
                part.parameters[name] = parameter.detach().numpy()
            for name in part.buffers:
                part.buffers[name] = cast(Tensor, module._buffers[name]).numpy()
            part.training = module.training
            for name in part.settings:
                setattr(part, name, getattr(module, name, getattr(part, name)))


class _InNumpy(torch.autograd.Function):
    """The call of a NumpyModule: the forward pass of its layer, and later the backward pass of this call."""

    @staticmethod
    def forward(ctx: Any, module: NumpyModule, others: list[Tensor], x: Tensor, *parameters: Tensor) -> Tensor:
        module.bind()
        y = module.layer.forward(x.detach().numpy(), *(other.numpy() for other in others))
        ctx.module, ctx.saved = module, module.layer.take_saved()
        arrays = _taken_arrays(ctx)
        ctx.products = sum(part.multiply_adds for _, part in module._parts)
        ctx.is_differentiable = x.is_floating_point()
        ctx.save_for_backward(*arrays, *parameters)
        add_products(ctx.products)
        return torch.from_numpy(y)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        if torch.is_grad_enabled():  # a graph of the gradient is wanted
            rule = f"{type(ctx.module).__name__} computes its gradient in NumPy, which has no second derivative"
            raise DlexpError(f"{rule}. Use the model of the same name without numpy_", code="not-supported")
        tensors = ctx.saved_tensors  # raises if a weight was changed since the forward pass
        module, (dy,), saved = ctx.module, gradients, [dict(own) for own in ctx.saved]
        for (number, name), tensor in zip(ctx.places, tensors, strict=False):
            saved[number][name] = tensor.numpy()
        module.bind()
        module.layer.put_saved(saved)
        dx = module.layer.backward(dy.numpy())
        own = [part.gradients[name] for _, part in module._parts for name in part.parameters]
        for _, part in module._parts:
            part.gradients = {}
        module.layer.take_saved()
        add_products(2 * ctx.products)
        return None, None, torch.from_numpy(dx) if ctx.is_differentiable else None, *map(torch.from_numpy, own)


def bridged(layer: Layer, twin: nn.Module) -> NumpyModule:
    """Return a module that computes with `layer`, has the parameters and buffers of `twin`, and is of its class too.

    Args:
        layer: The layer, whose parameters and buffers have the names and shapes of those of `twin`.
        twin: The layer of torch that it stands for; it is used up.

    Raises ValueError if the names differ.
    """
    kind: Any = type(twin)  # mypy takes a class of modules for unhashable
    kind = _kind_of(kind)
    module: NumpyModule = kind.__new__(kind)
    module.__dict__.update(twin.__dict__)
    module._take(layer)
    return module


def in_torch(network: nn.Module) -> nn.Module:
    """Return a network like `network` of the layers of torch that its layers in NumPy stand for, with the same weights.

    It is a copy; a network that does not compute in NumPy is returned itself. Raises DlexpError for a layer that stands
    for none.
    """
    if not computes_in_numpy(network):
        return network
    found = copy.deepcopy(network)
    for name, module in found.named_modules():
        if isinstance(module, NumpyModule):
            kind = next((base for base in type(module).__bases__ if base not in (NumpyModule, nn.Module)), None)
            if kind is None:
                rule = f"layer {name} is computed in NumPy, and torch has no layer of its kind"
                raise DlexpError(rule, code="not-supported")
            module.__class__ = kind
            del module.__dict__["layer"], module.__dict__["_parts"]
    return found


def layer_by_layer(network: Network) -> Network:
    """Return `network` for what looks at its layers, which are called one by one.

    Where NumPy computes several layers as one function, such as those of a recurrent network, it is a copy of the
    layers of torch that they stand for (`in_torch`), with the same weights; any other network is returned itself.
    """
    whole = (m for m in network.modules() if isinstance(m, NumpyModule) and any(True for _ in m.children()))
    has_twins = any(len(type(module).__bases__) > 1 for module in whole)
    return cast(Network, in_torch(network)) if has_twins else network


@cache
def _kind_of(torch_kind: Any) -> Any:
    """The class of modules that are a NumpyModule and a `torch_kind`."""
    return type(f"Numpy{torch_kind.__name__}", (NumpyModule, torch_kind), {"__module__": __name__})


def _own(module: nn.Module, part: Layer) -> dict[str, Tensor]:
    """The parameters of a layer itself, in its order, as those of its module."""
    return {name: cast(Tensor, module._parameters[name]) for name in part.parameters}


def _taken_arrays(ctx: Any) -> list[Tensor]:
    """Move what a call has saved to torch, which frees it after the backward pass, counts it, or computes it again.

    Arrays that torch cannot take as they are stay in `ctx.saved`; `ctx.places` are those of the others.
    """
    ctx.places, found = [], []
    for number, own in enumerate(ctx.saved):
        for name, value in own.items():
            if isinstance(value, np.ndarray) and value.flags.c_contiguous and value.flags.writeable:
                ctx.places.append((number, name))
                found.append(torch.from_numpy(value))
    for number, name in ctx.places:
        del ctx.saved[number][name]
    return found


def _drawn_mask(shape: tuple[int, ...], dtype: Any, p: float) -> Array:
    """The mask that torch's dropout draws at this place of a run, so that a resumed run draws it again."""
    ones = torch.ones(shape, dtype=torch.float64 if dtype == "float64" else torch.float32)
    mask: Array = F.dropout(ones, p, training=True).numpy()
    return mask
