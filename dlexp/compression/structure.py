"""In what a compressed network differs from the one that its constructor makes, as words. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_RANK = re.compile(r"([^=\s]+)=([1-9]\d*)")
_WIDTH = re.compile(r"([^=\s]+)=([1-9]\d*)(?:x([1-9]\d*))?")


@dataclass(frozen=True)
class Structure:
    """The layers of a network that were replaced or made narrower.

    Attributes:
        ranks: Layer -> rank of the two layers in its place, in the order in which they were replaced.
        widths: Layer -> (inputs, outputs); of a normalization or a parameter of its own (channels,). Names and sizes
            are those after the replacement.
    """

    ranks: Mapping[str, int] = field(default_factory=dict)
    widths: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.ranks or self.widths)

    @classmethod
    def parse(cls, ranks: Sequence[str], widths: Sequence[str]) -> Structure:
        """The structure of words such as `model.1=12` and `model.4=32x64`. Raises ValueError naming a wrong word."""
        found_ranks, found_widths = dict[str, int](), dict[str, tuple[int, ...]]()
        for word in ranks:
            match = _RANK.fullmatch(word)
            if match is None:
                raise ValueError(f"{word!r} must be LAYER=RANK, such as model.1=12")
            found_ranks[match[1]] = int(match[2])
        for word in widths:
            match = _WIDTH.fullmatch(word)
            if match is None:
                raise ValueError(f"{word!r} must be LAYER=INPUTSxOUTPUTS or LAYER=CHANNELS, such as model.1=784x128")
            found_widths[match[1]] = tuple(int(size) for size in (match[2], match[3]) if size is not None)
        return cls(found_ranks, found_widths)

    def rank_words(self) -> list[str]:
        """The words of the ranks, for `parse`."""
        return [f"{name}={rank}" for name, rank in self.ranks.items()]

    def width_words(self) -> list[str]:
        """The words of the widths, for `parse`."""
        return [f"{name}={'x'.join(map(str, sizes))}" for name, sizes in self.widths.items()]
