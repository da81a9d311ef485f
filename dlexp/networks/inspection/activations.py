"""Where networks apply activations, as modules or as functions, and how flat these are there.

Symbols: B samples, U units of an activation, T positions of a sequence.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from dlexp.networks.inspection.outputs import layers_of
from dlexp.networks.outside_torch import computes_in_numpy

_PRODUCTS = frozenset({torch.mul, Tensor.mul, Tensor.mul_, Tensor.__mul__, Tensor.__rmul__, torch.lerp, Tensor.lerp})
_CHANNELS_FIRST = frozenset({
    torch.conv1d, torch.conv2d, torch.conv3d, torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d,
    F.batch_norm, F.instance_norm, F.group_norm,
})  # fmt: skip
_CHANNELS_LAST = frozenset({F.linear, F.layer_norm, F.rms_norm, F.embedding, torch.matmul, Tensor.matmul, torch.bmm})
# Modules that compute an activation without torch's function: NumPy's in place of torch's.
_FORMS: Mapping[type[nn.Module], Callable[..., Any]] = {
    nn.ReLU: F.relu, nn.Sigmoid: torch.sigmoid, nn.Tanh: torch.tanh, nn.ELU: F.elu, nn.SiLU: F.silu,
    nn.Softmax: F.softmax,
}  # fmt: skip
_RECENT = 8  # outputs among which the factors of a product are looked for


def _clamped(x: Tensor, min: Any = None, max: Any = None) -> Tensor:
    return torch.clamp(x, min, max)


def _hardtanh(x: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    return F.hardtanh(x, min_val, max_val)


def _elu(x: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    return F.elu(x, alpha)


def _threshold(x: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    return F.threshold(x, threshold, value)


@dataclass(frozen=True)
class Function:
    """An elementwise activation with a flat side.

    Attributes:
        name: As people call it.
        pure: The same function, which never changes its input.
        steepest: Its largest derivative.
        two_sided: Whether it is flat on both sides, so that its units saturate.
    """

    name: str
    pure: Callable[..., Tensor]
    steepest: float = 1.0
    two_sided: bool = False


def _plain(function: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda x, *_, **__: function(x)


_TABLE: tuple[tuple[Function, tuple[Callable[..., Any], ...]], ...] = (
    (Function("relu", _plain(torch.relu)), (F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_)),
    (Function("relu6", _plain(F.relu6)), (F.relu6,)),
    (
        Function("clamp", _clamped),
        (torch.clamp, Tensor.clamp, Tensor.clamp_, torch.clip, Tensor.clip, torch.clamp_min, Tensor.clamp_min),
    ),
    (Function("threshold", _threshold), (F.threshold, torch.threshold)),
    (Function("gelu", F.gelu), (F.gelu,)),
    (Function("silu", _plain(F.silu)), (F.silu,)),
    (Function("mish", _plain(F.mish)), (F.mish,)),
    (Function("hardswish", _plain(F.hardswish)), (F.hardswish,)),
    (Function("elu", _elu), (F.elu,)),
    (Function("selu", _plain(F.selu)), (F.selu, torch.selu)),
    (Function("softplus", F.softplus), (F.softplus,)),
    (
        Function("sigmoid", _plain(torch.sigmoid), 0.25, True),
        (torch.sigmoid, torch.sigmoid_, Tensor.sigmoid, Tensor.sigmoid_, torch.special.expit),
    ),
    (Function("tanh", _plain(torch.tanh), 1.0, True), (torch.tanh, torch.tanh_, Tensor.tanh, Tensor.tanh_)),
    (Function("hardtanh", _hardtanh, 1.0, True), (F.hardtanh,)),
    (Function("softsign", _plain(F.softsign), 1.0, True), (F.softsign,)),
    (Function("hardsigmoid", _plain(F.hardsigmoid), 1 / 6, True), (F.hardsigmoid,)),
)
_FUNCTIONS: Mapping[Callable[..., Any], Function] = {form: function for function, forms in _TABLE for form in forms}
_OVER_CLASSES: Mapping[Callable[..., Any], str] = {
    **dict.fromkeys((F.softmax, torch.softmax, Tensor.softmax), "softmax"),
    **dict.fromkeys((F.log_softmax, torch.log_softmax, Tensor.log_softmax), "log_softmax"),
    F.logsigmoid: "logsigmoid",
    torch.exp: "exp",
    Tensor.exp: "exp",
}


def forms_of(name: str) -> frozenset[Callable[..., Any]]:
    """The functions of torch that compute an activation, such as "relu"."""
    return frozenset(form for form, function in _FUNCTIONS.items() if function.name == name)


@dataclass(eq=False)
class ActivationCall:
    """One call of an activation.

    Attributes:
        place: Dotted path of a module that is the activation, else the function and the layer before it.
        function: Its name.
        after: Dotted path of the layer with weights before it, "" if there is none.
        given: Its input, (B, ...), before any change in place.
        output: Its output.
        slope: Absolute derivative of each element by the largest of the function, shape of `given`; None for functions
            of several elements, such as a softmax.
        unit: The dimension of the units.
        two_sided: Whether the function is flat on both sides.
        is_gate: Its output is a factor of a product, as in gates of a recurrent cell or of squeeze-and-excitation.
        is_end: Its output is that of the network.
    """

    place: str
    function: str
    after: str
    given: Tensor
    output: Tensor
    slope: Tensor | None
    unit: int
    two_sided: bool
    is_gate: bool = False
    is_end: bool = False


class _Watching(TorchFunctionMode):
    """Sees every activation, whether a module or a function."""

    def __init__(self, *, slopes: bool) -> None:
        super().__init__()
        self.calls: list[ActivationCall] = []
        self.depth = 0  # networks that are running: what a task computes of their outputs is none of their activations
        self.running: list[str] = []
        self.before = ""
        self.leaves: frozenset[str] = frozenset()
        self._slopes, self._channels_first = slopes, True
        self._recent: deque[ActivationCall] = deque(maxlen=_RECENT)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if not self.depth:
            return func(*args, **named)
        if func in _PRODUCTS:
            self._note_gates(args)
        elif func in _CHANNELS_FIRST:
            self._channels_first = True
        elif func in _CHANNELS_LAST:
            self._channels_first = False
        function, over_classes = _FUNCTIONS.get(func), _OVER_CLASSES.get(func)
        given = args[0] if args else named.get("input")
        if (function is None and over_classes is None) or not isinstance(given, Tensor) or not _is_real(given):
            return func(*args, **named)
        kept = given if function is None else given.detach().clone() if self._slopes else given.clone()
        output = func(*args, **named)
        self.note(func, kept, args[1:], named, output)
        return output

    def note(self, func: Callable[..., Any], kept: Tensor, more: Any, named: Mapping[str, Any], output: Any) -> None:
        """Add a call of an activation.

        Args:
            func: The function of torch.
            kept: Its input.
            more: Its further arguments.
            named: Its named arguments.
            output: Its output.
        """
        function, over_classes = _FUNCTIONS.get(func), _OVER_CLASSES.get(func)
        if isinstance(output, Tensor) and output.shape == kept.shape:
            slope = None if function is None else self._slope(function, kept, more, named)
            name = over_classes or (function.name if function else "")
            unit = 1 if kept.dim() > 2 and self._channels_first else max(0, kept.dim() - 1)
            two_sided = function is not None and function.two_sided
            call = ActivationCall(self._place(name), name, self.before, kept, output, slope, unit, two_sided)
            self.calls.append(call)
            self._recent.append(call)

    def note_end(self, output: Tensor) -> None:
        """Mark the call whose output `output` is, in its own shape or another one."""
        for call in reversed(self._recent):
            if _same_memory(call.output, output) and call.output.numel() == output.numel():
                call.is_end = True
                return

    def _note_gates(self, factors: tuple[Any, ...]) -> None:
        tensors = [one for one in factors if isinstance(one, Tensor)]
        if len(tensors) < 2:  # a number scales, and gates nothing
            return
        for call in self._recent:
            call.is_gate = call.is_gate or any(_same_memory(call.output, one) for one in tensors)

    def _place(self, name: str) -> str:
        inside = self.running[-1] if self.running else ""
        if inside in self.leaves and inside != self.before:
            return inside
        return f"{name} after {self.before}" if self.before else f"{name} in {inside or 'the network'}"

    def _slope(self, function: Function, given: Tensor, more: Any, named: Mapping[str, Any]) -> Tensor | None:
        if not self._slopes:
            return None
        extra = {key: value for key, value in named.items() if key not in ("input", "inplace")}
        with torch.enable_grad():
            x = given.float().requires_grad_()
            value = function.pure(x, *more, **extra)
            (slope,) = torch.autograd.grad(value.sum(), x)
        return slope.abs() / function.steepest


@contextmanager
def watched_activations(networks: nn.ModuleDict, *, slopes: bool = True) -> Iterator[list[ActivationCall]]:
    """The calls of activations in the body, in order; hooks are removed afterwards.

    Clear the list after each forward pass: calls hold their inputs and outputs.

    Args:
        networks: By name, in the mode in which they run.
        slopes: Whether derivatives are computed.
    """
    mode = _Watching(slopes=slopes)
    layers = layers_of(networks)
    mode.leaves = frozenset(name for name, module in layers.items() if not any(True for _ in module.children()))
    with ExitStack() as stack:
        for name, module in layers.items():
            weighted = name in mode.leaves and any(True for _ in module.parameters(recurse=False))
            enters, leaves = _hooks(mode, name, weighted)
            stack.callback(module.register_forward_pre_hook(enters).remove)
            stack.callback(module.register_forward_hook(leaves, always_call=True).remove)
        for name, network in networks.items():
            if name != "loss":  # the parameters of a loss are kept beside the networks
                begins, ends = _bounds(mode)
                stack.callback(network.register_forward_pre_hook(begins).remove)
                stack.callback(network.register_forward_hook(ends, always_call=True).remove)
        stack.enter_context(mode)
        yield mode.calls


def _hooks(mode: _Watching, name: str, is_weighted: bool) -> tuple[Callable[..., None], Callable[..., None]]:
    def enters(module: nn.Module, given: Any) -> None:
        mode.running.append(name)

    def leaves(module: nn.Module, given: Any, output: Any) -> None:
        if computes_in_numpy(module) and name in mode.leaves and mode.depth:
            form = next((form for kind, form in _FORMS.items() if isinstance(module, kind)), None)
            if form is not None:
                more = (module.alpha,) if isinstance(module, nn.ELU) else ()
                depth, mode.depth = mode.depth, 0  # the slope is computed with functions that are none of the network's
                mode.note(form, given[0].detach().clone(), more, {}, output)
                mode.depth = depth
        if name in mode.running:
            del mode.running[len(mode.running) - 1 - mode.running[::-1].index(name) :]
        if is_weighted:
            mode.before = name

    return enters, leaves


def _bounds(mode: _Watching) -> tuple[Callable[..., None], Callable[..., None]]:
    """The begin and the end of a call of a network."""

    def begins(module: nn.Module, given: Any) -> None:
        mode.depth += 1

    def ends(module: nn.Module, given: Any, output: Any) -> None:
        mode.depth = max(0, mode.depth - 1)
        if isinstance(output, Tensor):
            mode.note_end(output)
        mode.before = ""

    return begins, ends


def bare(network: nn.Module) -> None:
    """Let a network put out what its last activation is given, if its output is that of an activation.

    A softmax, a sigmoid or a rectifier at the end is taken away like this; other networks stay as they are.
    """
    running: list[tuple[ExitStack, _Watching]] = []

    def enters(module: nn.Module, given: Any) -> None:
        mode, stack = _Watching(slopes=False), ExitStack()
        mode.depth = 1
        stack.enter_context(mode)
        running.append((stack, mode))

    def leaves(module: nn.Module, given: Any, output: Any) -> Any:
        stack, mode = running.pop()
        stack.close()
        if not isinstance(output, Tensor):
            return None
        mode.note_end(output)
        end = next((call for call in reversed(mode.calls) if call.is_end), None)
        return None if end is None else end.given.view_as(output)

    network.register_forward_pre_hook(enters)
    network.register_forward_hook(leaves, always_call=True)


def _is_real(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.dim() > 0 and tensor.numel() > 0


def _same_memory(one: Tensor, other: Tensor) -> bool:
    return one is other or one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
