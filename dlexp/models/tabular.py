"""Networks for tables with numeric and categorical columns.

A categorical column is encoded as a block of one-hot features (dlexp.data.tables.encoding), which are all 0 for a
missing or unseen value. Embeddings are linear maps of these blocks, with the zero vector for unknown values.

Symbols: B batch, F features, N numeric features, K categorical columns, D size of an embedding or token, O outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt

import torch
from torch import Tensor, nn

from dlexp.models.initialization import initialized
from dlexp.models.mlp import mlp

__all__ = ["neural_ode", "tabular_mlp", "wide_deep"]

Blocks = Sequence[tuple[int, int]]  # (first feature, number of categories) of each categorical column


class Columns(nn.Module):
    """Separates the numeric features of a row from its categories, and embeds the categories.

    Args:
        num_features: F.
        categorical: (first feature, number of categories) of each categorical column.
        width: D, or None for min(50, (categories + 1) // 2) for each column, the rule of fastai.
    """

    def __init__(self, num_features: int, categorical: Blocks, width: int | None) -> None:
        super().__init__()
        self.blocks = tuple((int(first), int(count)) for first, count in categorical)
        taken = {first + offset for first, count in self.blocks for offset in range(count)}
        numbers = [feature for feature in range(num_features) if feature not in taken]
        self.register_buffer("numbers", torch.tensor(numbers, dtype=torch.int64), persistent=False)
        widths = [width or min(50, (count + 1) // 2) for _, count in self.blocks]
        self.embeddings = nn.ModuleList(
            nn.Linear(count, wide, bias=False) for (_, count), wide in zip(self.blocks, widths, strict=True)
        )
        for (_, count), embedding in zip(self.blocks, self.embeddings, strict=True):
            assert isinstance(embedding, nn.Linear)
            nn.init.normal_(embedding.weight, 0.0, 1 / sqrt(count))
        self.num_outputs = len(numbers) + sum(widths)

    def forward(self, x: Tensor) -> Tensor:
        """(B, F) -> (B, N + sum of the embeddings' widths)."""
        numbers = self.get_buffer("numbers")
        embedded = [
            embedding(x[:, first : first + count])
            for (first, count), embedding in zip(self.blocks, self.embeddings, strict=True)
        ]
        return torch.cat([x.index_select(1, numbers), *embedded], 1)


def tabular_mlp(
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    categorical: Blocks = (),
    embedding: int | None = None,
    hidden: Sequence[int] = (128, 64),
    activation: str = "relu",
    norm: str = "batch",
    norm_place: str = "before",
    dropout: float = 0.1,
    init: str = "auto",
) -> nn.Sequential:
    """A multilayer perceptron on numeric features and embeddings of categories: (B, F) -> (B, O).

    Args:
        input_shape: (F,).
        num_outputs: O.
        categorical: (first feature, number of categories) of each categorical column.
        embedding: Size of every embedding; None: half the number of categories, at most 50.
        hidden: Units of each hidden layer.
        activation: Name of the activation.
        norm: Name of the normalization.
        norm_place: Position of the normalization: before or after the activation.
        dropout: Probability in [0, 1) that a hidden unit is zeroed in training.
        init: Initialization, as in dlexp.models.initialization.
    """
    columns = Columns(row_features("tabular_mlp", input_shape), categorical, embedding)
    deep = mlp(
        input_shape=(columns.num_outputs,),
        num_outputs=num_outputs,
        hidden=hidden,
        activation=activation,
        norm=norm,
        norm_place=norm_place,
        dropout=dropout,
        init=init,
    )
    return nn.Sequential(columns, deep)


class _Sum(nn.Module):
    """The sum of the outputs of two networks."""

    def __init__(self, wide: nn.Module, deep: nn.Module) -> None:
        super().__init__()
        self.wide, self.deep = wide, deep

    def forward(self, x: Tensor) -> Tensor:
        """(B, F) -> (B, O)."""
        total: Tensor = self.wide(x) + self.deep(x)
        return total


class _Crossed(nn.Module):
    """The row, followed by the products of every pair of categorical blocks: 1 if both values occur together."""

    def __init__(self, categorical: Blocks) -> None:
        super().__init__()
        self.blocks = tuple((int(first), int(count)) for first, count in categorical)
        counts = [count for _, count in self.blocks]
        self.num_crossed = (sum(counts) ** 2 - sum(count**2 for count in counts)) // 2

    def forward(self, x: Tensor) -> Tensor:
        """(B, F) -> (B, F + products)."""
        parts = [x[:, first : first + count] for first, count in self.blocks]
        pairs = [(a, b) for number, a in enumerate(parts) for b in parts[number + 1 :]]
        return torch.cat([x, *(torch.einsum("bi,bj->bij", a, b).flatten(1) for a, b in pairs)], 1)


def wide_deep(
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    categorical: Blocks = (),
    embedding: int | None = None,
    crosses: bool = True,
    hidden: Sequence[int] = (128, 64),
    activation: str = "relu",
    norm: str = "batch",
    dropout: float = 0.1,
    init: str = "auto",
) -> nn.Module:
    """Wide & Deep (Cheng et al. 2016, arXiv:1606.07792), a linear model plus tabular_mlp: (B, F) -> (B, O).

    Args:
        input_shape: (F,).
        num_outputs: O.
        categorical: (first feature, number of categories) of each categorical column.
        embedding: Size of every embedding; None: half the number of categories, at most 50.
        crosses: Whether inputs of the linear model include the product of every pair of categorical columns.
        hidden: Units of each hidden layer of the deep part.
        activation: Name of the activation.
        norm: Name of the normalization.
        dropout: Probability in [0, 1) that a hidden unit is zeroed in training.
        init: Initialization, as in dlexp.models.initialization.
    """
    features = row_features("wide_deep", input_shape)
    crossed = _Crossed(categorical if crosses else ())
    linear = nn.Linear(features + crossed.num_crossed, num_outputs)
    deep = tabular_mlp(
        input_shape=input_shape,
        num_outputs=num_outputs,
        categorical=categorical,
        embedding=embedding,
        hidden=hidden,
        activation=activation,
        norm=norm,
        dropout=dropout,
        init=init,
    )
    return _Sum(nn.Sequential(crossed, linear), deep)


class _Flow(nn.Module):
    """dx/dt = f(x, t) from t = 0 to 1 by the classical Runge-Kutta method of order 4, in steps of equal length."""

    def __init__(self, width: int, steps: int) -> None:
        super().__init__()
        self.field = nn.Sequential(nn.Linear(width + 1, width), nn.Tanh(), nn.Linear(width, width))
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        """(B, D) -> (B, D)."""
        step = 1 / self.steps
        for number in range(self.steps):
            t = number * step
            first = self._at(x, t)
            second = self._at(x + step / 2 * first, t + step / 2)
            third = self._at(x + step / 2 * second, t + step / 2)
            fourth = self._at(x + step * third, t + step)
            x = x + step / 6 * (first + 2 * second + 2 * third + fourth)
        return x

    def _at(self, x: Tensor, t: float) -> Tensor:
        change: Tensor = self.field(torch.cat([x, x.new_full((x.shape[0], 1), t)], 1))
        return change


def neural_ode(
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    categorical: Blocks = (),
    embedding: int | None = None,
    state: int = 64,
    steps: int = 4,
    init: str = "default",
) -> nn.Sequential:
    """A neural ordinary differential equation (Chen et al. 2018, arXiv:1806.07366): (B, F) -> (B, O).

    A linear map to a state of D numbers, its flow from t = 0 to 1 along a learned vector field, and a linear map to the
    outputs. Gradients are computed through the steps of the solver.

    Args:
        input_shape: (F,).
        num_outputs: O.
        categorical: (first feature, number of categories) of each categorical column.
        embedding: Size of every embedding; None: half the number of categories, at most 50.
        state: Size D of the state.
        steps: Number of Runge-Kutta steps.
        init: Initialization, as in dlexp.models.initialization.
    """
    columns = Columns(row_features("neural_ode", input_shape), categorical, embedding)
    inner = nn.Linear(columns.num_outputs, state)
    return initialized(nn.Sequential(columns, inner, _Flow(state, steps), nn.Linear(state, num_outputs)), init, "tanh")


def row_features(name: str, input_shape: tuple[int, ...]) -> int:
    """Return F. Raises ValueError for samples other than rows of a table."""
    if len(input_shape) != 1:
        raise ValueError(f"{name} requires rows of a table, got samples of shape {input_shape}")
    return prod(input_shape)
