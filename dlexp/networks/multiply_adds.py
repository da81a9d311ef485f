"""The multiply-adds of what runs: matrix products, convolutions, attention and recurrent layers.

torch's own counter sees an operation or knows nothing of it, and then counts 0 in silence: fused recurrent layers, the
fused transformer layer of evaluation, products with a vector, bilinear forms. They are counted here as well.

Counted are products that are summed up. Elementwise work, norms, activations, poolings, lookups in an embedding and
distances are not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

_Shape = Sequence[int]


class Products:
    """What was counted so far."""

    def __init__(self, counter: FlopCounterMode) -> None:
        self._counter = counter

    @property
    def multiply_adds(self) -> int:
        """A product and its addition are one."""
        return int(self._counter.get_total_flops()) // 2


@contextmanager
def counted_products() -> Iterator[Products]:
    """Count what the body computes, backward passes included, whatever torch fuses."""
    was_fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # a whole encoder layer in one operation
    try:
        with FlopCounterMode(display=False, custom_mapping={**_FLOPS, **_flops_of_torchvision()}) as counter:
            yield Products(counter)
    finally:
        torch.backends.mha.set_fastpath_enabled(was_fused)


# Floating point operations, two for a multiply-add, as `FlopCounterMode` counts: it gives shapes in place of tensors.


def _matrix_vector(matrix: _Shape, _vector: _Shape, **_: Any) -> int:
    return 2 * prod(matrix)


def _added_matrix_vector(_added: _Shape, matrix: _Shape, _vector: _Shape, **_: Any) -> int:
    return 2 * prod(matrix)


def _dot(left: _Shape, _right: _Shape, **_: Any) -> int:
    return 2 * prod(left)


def _summed_batch(_added: _Shape, left: _Shape, right: _Shape, **_: Any) -> int:
    return 2 * prod(left) * right[-1]


def _trilinear(
    one: _Shape,
    two: _Shape,
    three: _Shape,
    expand1: _Shape,
    expand2: _Shape,
    expand3: _Shape,
    _sum: _Shape,
    *_args: Any,
    **_: Any,
) -> int:
    """Three tensors, each with further axes of length 1, are multiplied and summed."""
    whole = [1]
    for shape, axes in ((one, expand1), (two, expand2), (three, expand3)):
        sizes = list(shape)
        for axis in sorted(axes):
            sizes.insert(axis, 1)
        whole = sizes if len(whole) == 1 else [max(pair) for pair in zip(whole, sizes, strict=True)]
    return 2 * prod(whole)


def _recurrent_layer(inputs: _Shape, of_input: _Shape, of_state: _Shape, *_args: Any, **_: Any) -> int:
    """One direction of one LSTM layer, by oneDNN: (..., features), (4 * hidden, features), (4 * hidden, hidden)."""
    return 2 * prod(inputs[:-1]) * (prod(of_input) + prod(of_state))


def _recurrent_network(inputs: _Shape, weights: Sequence[_Shape], *_args: Any, **_: Any) -> int:
    """All layers and directions, by cuDNN: every weight meets every step of every sample once."""
    return 2 * prod(inputs[:-1]) * sum(prod(shape) for shape in weights if len(shape) == 2)


def _weighted_bag(weight: _Shape, indices: _Shape, _offsets: _Shape, *args: Any, **named: Any) -> int:
    """A sum of embeddings is no product, a weighted sum is."""
    factors = named.get("per_sample_weights", args[3] if len(args) > 3 else None)
    return 0 if factors is None else 2 * prod(indices) * weight[-1]


def _deformed_convolution(_inputs: _Shape, weight: _Shape, *_args: Any, out_shape: _Shape, **_: Any) -> int:
    return 2 * prod(out_shape) * prod(weight[1:])


def _flops_of_torchvision() -> dict[Any, Callable[..., int]]:
    """Operations that exist once torchvision is imported."""
    return {torch.ops.torchvision.deform_conv2d: _deformed_convolution} if "torchvision" in sys.modules else {}


def _twice(forward: Callable[..., int]) -> Callable[..., int]:
    """The backward pass: one product for the gradient of the inputs, one for that of the weights."""
    return lambda *args, **named: 2 * forward(*args, **named)


_aten = torch.ops.aten
_FLOPS: Mapping[Any, Callable[..., int]] = {
    _aten.mv: _matrix_vector,
    _aten.addmv: _added_matrix_vector,
    _aten.dot: _dot,
    _aten.vdot: _dot,
    _aten.addbmm: _summed_batch,
    _aten._trilinear: _trilinear,
    _aten.mkldnn_rnn_layer: _recurrent_layer,
    _aten.mkldnn_rnn_layer_backward: _twice(_recurrent_layer),
    _aten._cudnn_rnn: _recurrent_network,
    _aten._cudnn_rnn_backward: _twice(_recurrent_network),
    _aten._embedding_bag: _weighted_bag,
    _aten._embedding_bag_forward_only: _weighted_bag,
}
