"""Channels that belong together: those that one layer makes, others add up, normalize or read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import lcm

Segment = tuple["Axis", int]  # an axis, and the consecutive numbers that each of its channels is (flattened pixels)


@dataclass(eq=False)
class Axis:
    """A set of channels. Two that must stay equal are joined: one becomes the other.

    Attributes:
        size: Its number of channels.
        reason: Why none of them can be removed, "" where they can.
        chunks: Equal parts that each keep as many channels, as the groups of a group normalization do.
    """

    size: int
    reason: str = ""
    chunks: int = 1
    joined: Axis | None = None

    def root(self) -> Axis:
        """The axis that this one was joined to, itself if it was not."""
        found = self
        while found.joined is not None:
            found = found.joined
        return found

    def freeze(self, reason: str) -> None:
        """Keep all channels; the first reason stays."""
        root = self.root()
        root.reason = root.reason or reason

    def divide(self, chunks: int) -> None:
        """Keep as many channels in each of these equal parts as well."""
        root = self.root()
        root.chunks = lcm(root.chunks, chunks)
        if root.size % root.chunks:
            root.freeze("its channels are normalized in groups of several sizes")

    def join(self, other: Axis) -> None:
        """Make the two one."""
        one, two = self.root(), other.root()
        if one is two:
            return
        if one.size != two.size:
            one.freeze("its channels are combined with another number of them")
            two.freeze("its channels are combined with another number of them")
            return
        one.reason = one.reason or two.reason
        one.divide(two.chunks)
        two.joined = one


@dataclass
class ChannelGraph:
    """Which channels each layer reads and makes.

    Attributes:
        inputs: Layer -> axes of its inputs, in their order.
        outputs: Layer -> axes of its outputs; of a normalization or parameter, those that it has numbers for.
        makers: Layers with weights whose outputs are one axis, in the order of the computation.
    """

    inputs: dict[str, list[Segment]] = field(default_factory=dict)
    outputs: dict[str, list[Segment]] = field(default_factory=dict)
    makers: list[str] = field(default_factory=list)

    def removable(self) -> dict[Axis, list[str]]:
        """Axis whose channels can be removed -> the layers that make them."""
        found: dict[Axis, list[str]] = {}
        for name in self.makers:
            axis = self.outputs[name][0][0].root()
            if not axis.reason and axis.size > 1:
                found.setdefault(axis, []).append(name)
        return found

    def kept_whole(self) -> Iterator[tuple[str, str]]:
        """(layer, why none of its outputs can be removed)."""
        for name in self.makers:
            axis = self.outputs[name][0][0].root()
            if axis.reason:
                yield name, axis.reason
