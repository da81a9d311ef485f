"""What tasks with a teacher share: both networks run on one batch, with or without hints.

Symbols: B batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor, nn

from dlexp.errors import DlexpError
from dlexp.specs import DataSpec
from dlexp.tasks.base import Networks, Phase, forward
from dlexp.tasks.distillation.hints import NETWORK, Hints
from dlexp.tasks.distillation.teacher import Teacher
from dlexp.types import Batch, LossOutput


class Lesson:
    """A teacher and a student on the same batches.

    Args:
        teacher: The teacher, None where nothing is trained: then there are no hints either.
        hints: Layer of the student -> layer of the teacher.
        hint_weight: Factor of the loss of these.
        spec: The data.
    """

    def __init__(self, teacher: Teacher | None, hints: Mapping[str, str], hint_weight: float, spec: DataSpec) -> None:
        self._teacher, self._weight = teacher, hint_weight
        has_hints = bool(hints) and teacher is not None
        self._hints = Hints(hints, teacher, spec.inputs.blank()) if has_hints and teacher is not None else None
        self.phases: Mapping[str, Phase] = {"train": Phase(("model", NETWORK) if has_hints else ("model",))}

    @property
    def teacher(self) -> Teacher:
        """The teacher. Raises DlexpError where nothing is trained."""
        if self._teacher is None:
            raise DlexpError("the loss of a distillation needs its teacher, which evaluation does not read")
        return self._teacher

    def around(self, network: nn.Module) -> nn.Module:
        """The student, measured for its hints."""
        if self._hints is not None:
            self._hints.measure(network)
        return network

    def own_networks(self) -> Networks:
        """The maps of the hints, after `around`."""
        return {} if self._hints is None else {NETWORK: self._hints.maps()}

    def run(self, networks: Networks, batch: Batch) -> tuple[Tensor, Tensor, Tensor | None]:
        """(outputs of the student (B, ...), outputs of the teacher, loss of the hints of shape (), None without)."""
        if self._hints is not None:
            return self._hints.run(networks, batch.inputs)
        return forward(networks["model"], batch.inputs), self.teacher.outputs(batch.inputs), None

    def with_hint(self, found: LossOutput, hint: Tensor | None) -> LossOutput:
        """A loss with that of the hints."""
        if hint is None:
            return found
        return replace(
            found, value=found.value + self._weight * hint, parts={**found.parts, "hint_loss": hint.detach()}
        )
