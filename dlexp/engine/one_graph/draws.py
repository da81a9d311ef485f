"""Random numbers of a graph, drawn outside of it: from the seeded generator, in the order of the eager update.

A compiled graph has generators of its own; drawn outside, dropout stays a function of (seed, purpose, position), to the
bits of the eager update.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from dlexp.engine.one_graph.recording import Untraceable

# Operations of which the first argument gives shape and kind, and not its values.
_SHAPED = (
    "bernoulli_.float",
    "bernoulli.p",
    "uniform_",
    "normal_.",
    "exponential_",
    "rand_like",
    "randn_like",
    "geometric_",
)


@dataclass(frozen=True)
class DrawOutside:
    """One call of a random operation on an empty tensor.

    operation  such as bernoulli_.float, of torch.ops.aten
    arguments  behind the tensor
    """

    operation: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: str
    device: str
    arguments: tuple[float | int | None, ...]

    def __call__(self) -> Tensor:
        """Draw from torch's generator as it stands."""
        name, _, overload = self.operation.partition(".")
        function = getattr(getattr(torch.ops.aten, name), overload)
        dtype = getattr(torch, self.dtype)
        empty = torch.empty_strided(self.shape, self.stride, dtype=dtype, device=self.device)
        found: Tensor = function(empty, *self.arguments)
        return found

    def to_plain(self) -> dict[str, Any]:
        """Plain values, for a file."""
        return asdict(self)

    @classmethod
    def from_plain(cls, given: dict[str, Any]) -> DrawOutside:
        """The draw that `to_plain` gave."""
        given = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
        return cls(**given)


def move_draws_out(graph: Any) -> list[DrawOutside]:
    """Make inputs, behind the others, of the random numbers of a traced graph; returns how to draw them.

    Raises Untraceable for random numbers that depend on values.
    """
    last = [node for node in graph.nodes if node.op == "placeholder"][-1]
    draws = []
    for node in list(graph.nodes):
        tags = getattr(node.target, "tags", ())
        if node.op != "call_function" or torch.Tag.nondeterministic_seeded not in tags:
            continue
        name = str(node.target).removeprefix("aten.")
        shape = node.args[0].meta.get("val") if node.args and hasattr(node.args[0], "meta") else None
        rest = tuple(node.args[1:])
        if shape is None or not name.startswith(_SHAPED) or any(hasattr(value, "meta") for value in rest):
            raise Untraceable(f"the random numbers of {name} depend on values")
        draws.append(
            DrawOutside(
                name,
                tuple(shape.shape),
                tuple(shape.stride()),
                str(shape.dtype).removeprefix("torch."),
                str(shape.device),
                rest,
            )
        )
        with graph.inserting_after(last):
            last = graph.placeholder(f"draw_{len(draws)}")
        source = node.args[0]
        node.replace_all_uses_with(last)
        graph.erase_node(node)
        if name.partition(".")[0].endswith("_"):  # in place: the empty tensor is the drawn one from here on
            source.replace_all_uses_with(last)
            if not source.users and source.op == "call_function":
                graph.erase_node(source)
    return draws
