"""Counter of multiply-adds: matrix products, convolutions, attention and recurrent layers.

torch's counter silently counts 0 for operations that it does not know: fused recurrent layers, the fused transformer
layer of evaluation, products with a vector, bilinear forms. They are counted here as well.

Only sums of products are counted, not elementwise operations, norms, activations, pooling, embedding lookups and
distances.
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
    """The count so far."""

    def __init__(self, counter: FlopCounterMode) -> None:
        self._counter = counter
        self.outside = 0  # those of other libraries, which torch does not see

    @property
    def multiply_adds(self) -> int:
        """The number of multiply-adds; a product and its addition count once."""
        return int(self._counter.get_total_flops()) // 2 + self.outside


_counting: list[Products] = []


def add_products(count: int) -> None:
    """Add multiply-adds that another library than torch computes to the counts of this moment."""
    for products in _counting:
        products.outside += count


@contextmanager
def counted_products() -> Iterator[Products]:
    """Count the multiply-adds of the body, including backward passes and fused operations."""
    was_fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it fuses a whole encoder layer
    try:
        with FlopCounterMode(display=False, custom_mapping={**_FLOPS, **_flops_of_torchvision()}) as counter:
            _counting.append(Products(counter))
            yield _counting[-1]
    finally:
        del _counting[-1:]
        torch.backends.mha.set_fastpath_enabled(was_fused)


# Floating point operations, two per multiply-add, as `FlopCounterMode` counts them: it passes shapes, not tensors.


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
    """The product of three tensors, each with additional axes of length 1, summed."""
    whole = [1]
    for shape, axes in ((one, expand1), (two, expand2), (three, expand3)):
        sizes = list(shape)
        for axis in sorted(axes):
            sizes.insert(axis, 1)
        whole = sizes if len(whole) == 1 else [max(pair) for pair in zip(whole, sizes, strict=True)]
    return 2 * prod(whole)


def _recurrent_layer(inputs: _Shape, of_input: _Shape, of_state: _Shape, *_args: Any, **_: Any) -> int:
    """One direction of an LSTM layer, by oneDNN: (..., features), (4 * hidden, features), (4 * hidden, hidden)."""
    return 2 * prod(inputs[:-1]) * (prod(of_input) + prod(of_state))


def _recurrent_network(inputs: _Shape, weights: Sequence[_Shape], *_args: Any, **_: Any) -> int:
    """All layers and directions, by cuDNN: every weight is used once per time step and sample."""
    return 2 * prod(inputs[:-1]) * sum(prod(shape) for shape in weights if len(shape) == 2)


def _weighted_bag(weight: _Shape, indices: _Shape, _offsets: _Shape, *args: Any, **named: Any) -> int:
    """A weighted sum of embeddings; a plain sum has no products."""
    factors = named.get("per_sample_weights", args[3] if len(args) > 3 else None)
    return 0 if factors is None else 2 * prod(indices) * weight[-1]


def _deformed_convolution(_inputs: _Shape, weight: _Shape, *_args: Any, out_shape: _Shape, **_: Any) -> int:
    return 2 * prod(out_shape) * prod(weight[1:])


def _flops_of_torchvision() -> dict[Any, Callable[..., int]]:
    """Operations of torchvision, if it is imported."""
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
