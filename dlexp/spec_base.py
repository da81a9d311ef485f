"""The base of descriptions of data: what is known of inputs and of targets, as plain values that a run keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

from dlexp.plain_values import from_plain, to_plain
from dlexp.types import Field


class Spec(ABC):
    """A description of one side of a data set, inputs or targets, in plain values that are saved with a run.

    A subclass is a frozen dataclass of numbers, texts and tuples of them, with its own `kind`. Its class is found
    again by that name when a run is read, so that each name belongs to one class.
    """

    kind: ClassVar[str]
    _known: ClassVar[dict[str, type[Spec]]]

    def __init_subclass__(cls, **options: Any) -> None:
        """Make the class known by its kind. Raises TypeError for a kind that another class has."""
        super().__init_subclass__(**options)
        if "kind" not in vars(cls):
            return
        for family in (InputSpec, TargetSpec):
            if issubclass(cls, family):
                other = family._known.setdefault(cls.kind, cls)
                if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
                    raise TypeError(f"the kind {cls.kind!r} belongs to {other.__name__}. Use another name.")
                family._known[cls.kind] = cls

    @abstractmethod
    def blank(self) -> Field:
        """One sample of zeros, as a batch of B = 1."""

    def model_arguments(self) -> dict[str, Any]:
        """Arguments that a model can name in its signature."""
        return {}

    def to_plain(self) -> dict[str, Any]:
        """Plain values that `from_plain` makes an equal spec of."""
        return {"kind": self.kind, **to_plain(self)}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Self:
        """The spec that `to_plain` described. Raises ValueError for an unknown kind or other values."""
        found = cls._known.get(values["kind"])
        if found is None:
            known = ", ".join(cls._known)
            raise ValueError(f"unknown kind {values['kind']!r}; known: {known}. Import the module that defines it.")
        made: Any = from_plain(found, {name: value for name, value in values.items() if name != "kind"})
        assert isinstance(made, cls)
        return made


class InputSpec(Spec):
    """A description of what a network reads. Derive from it to bring a kind of input that dlexp does not have."""

    _known: ClassVar[dict[str, type[Spec]]] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample; () where samples have no common one."""
        return ()


class TargetSpec(Spec):
    """A description of what is learned.

    geometry  how targets move when an image moves: "mask" (..., H, W), "image" (channels, H, W) or a
              multiple of that size, "boxes", or "" for not at all
    """

    _known: ClassVar[dict[str, type[Spec]]] = {}
    geometry: ClassVar[str] = ""

    @property
    def fill(self) -> int:
        """Number of the pixels of a moved mask that come from outside of its image."""
        return 0

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the classes or values; () where they have none."""
        names: tuple[str, ...] = getattr(self, "names", ())
        return names

    @property
    def num_outputs(self) -> int:
        """Numbers that a network puts out for one sample, pixel or position, unless the task asks for others."""
        return len(self.output_names)

    def model_arguments(self) -> dict[str, Any]:
        """The number of outputs, by two names."""
        return {"num_outputs": self.num_outputs, "num_classes": self.num_outputs} if self.num_outputs else {}

    def loss_arguments(self) -> dict[str, Any]:
        """Arguments that a loss can name in its signature."""
        return {}

    def aligned(self, inputs: Field) -> Field | None:
        """Blank targets of B inputs, for targets whose size is that of their inputs; None for all others."""
        return None

    def measured(self, targets: Iterable[Field]) -> Self:
        """The same spec with what losses need to know of the training targets, which come in pieces."""
        return self
