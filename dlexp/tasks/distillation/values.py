"""Numbers learned from the predictions of a teacher.

Symbols: B batch, O outputs.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import nn

from dlexp.losses.output_decoding import Standardized, value_decoder
from dlexp.losses.upcast import upcast
from dlexp.specs import DataSpec
from dlexp.tasks.base import Networks
from dlexp.tasks.distillation.lesson import Lesson
from dlexp.tasks.distillation.teacher import Teacher
from dlexp.tasks.regression import Regression
from dlexp.types import Batch, LossOutput

__all__ = ["RegressionDistillation"]


class RegressionDistillation(Regression):
    """Regression whose loss is alpha MSE(student, teacher) + (1 - alpha) loss(student, targets), both standardized.

    The teacher sees what the student sees, and evaluation knows no teacher.

    Args:
        spec: The data.
        loss: The loss of the targets, of one value for each.
        teacher: The directory of the run whose network is the teacher. It may have any loss: its predictions count.
        alpha: The share of the teacher in the loss, in [0, 1].
        hints: Layer of the student -> layer of the teacher whose output it learns to predict, linearly mapped.
        hint_weight: Factor of the loss of these, which is added.
        trained_teacher: The teacher; None where nothing is trained.
    """

    training_networks = ("hints",)

    def __init__(
        self,
        *,
        spec: DataSpec,
        loss: nn.Module,
        teacher: str,
        alpha: float = 0.7,
        hints: Mapping[str, str] | None = None,
        hint_weight: float = 1.0,
        trained_teacher: Teacher | None = None,
    ) -> None:
        """Raises ValueError for a loss of other outputs, or a teacher of another kind."""
        super().__init__(spec=spec, loss=loss)
        if not isinstance(value_decoder(loss), Standardized):
            raise ValueError("requires a loss of one standardized value for each target. Set loss=mse")
        if trained_teacher is not None and not isinstance(trained_teacher.task, Regression):
            raise ValueError(f"its teacher {teacher} predicts no numbers. Name a run of task=regression")
        self._alpha, self._lesson = alpha, Lesson(trained_teacher, hints or {}, hint_weight, spec)
        self.phases = self._lesson.phases

    def around(self, network: nn.Module) -> nn.Module:
        """The student itself, whose layers are measured where they have hints."""
        return self._lesson.around(network)

    def own_networks(self) -> Networks:
        """The maps of the hints."""
        return self._lesson.own_networks()

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The weighted sum; beside it both terms and that of the hints."""
        outputs, taught, hint = self._lesson.run(networks, batch)
        hard = self.loss_of(outputs, batch)
        wanted = self.scaled(self._lesson.teacher.task.decode(taught), outputs)
        soft = F.mse_loss(upcast(outputs), wanted)
        value = self._alpha * soft + (1 - self._alpha) * hard.value
        parts = {**hard.parts, "soft_loss": soft.detach(), "hard_loss": hard.value.detach()}
        return self._lesson.with_hint(LossOutput(value, parts), hint)
