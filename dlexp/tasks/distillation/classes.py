"""Classes learned from the soft targets of a teacher (Hinton et al. 2015, arXiv:1503.02531).

Symbols: B batch, C classes, T temperature.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dlexp.losses.classification import KL
from dlexp.losses.upcast import upcast
from dlexp.specs import DataSpec
from dlexp.tasks.base import Networks
from dlexp.tasks.classification import Classification
from dlexp.tasks.distillation.lesson import Lesson
from dlexp.tasks.distillation.teacher import Teacher
from dlexp.types import Batch, LossOutput

__all__ = ["Distillation"]


class Distillation(Classification):
    """Classification whose loss is alpha T^2 KL(teacher || student) + (1 - alpha) loss(student, targets).

    Both distributions are softmax(logits / T); T^2 keeps the size of their gradient as T grows. The divergence is a
    mean over the batch. The teacher sees what the student sees: the same augmented, and where samples are mixed, mixed
    batch. Evaluation knows no teacher: its loss is that of the targets.

    Args:
        spec: The data.
        loss: The loss of the targets. Its outputs must be logits.
        teacher: The directory of the run whose network is the teacher.
        temperature: T, above 0.
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
        temperature: float | None = 3.0,
        alpha: float = 0.7,
        hints: Mapping[str, str] | None = None,
        hint_weight: float = 1.0,
        trained_teacher: Teacher | None = None,
    ) -> None:
        """Raises ValueError for a loss that makes no logits, or a teacher of another kind."""
        super().__init__(spec=spec, loss=loss)
        if temperature is None:
            raise ValueError("temperature must be a number above 0, got null")
        if self.logits(torch.zeros(1, self.num_outputs(spec))) is None:
            raise ValueError("the loss makes scores, and soft targets need logits. Set loss=cross_entropy")
        if trained_teacher is not None and not _has_logits(trained_teacher, spec):
            raise ValueError(f"its teacher {teacher} puts out no logits of classes. Name a run of task=classification")
        self._alpha, self._soft = alpha, KL(temperature)
        self._temperature = temperature
        self._lesson = Lesson(trained_teacher, hints or {}, hint_weight, spec)
        self.phases = self._lesson.phases

    def around(self, network: nn.Module) -> nn.Module:
        """The student itself, whose layers are measured where they have hints."""
        return self._lesson.around(network)

    def own_networks(self) -> Networks:
        """The maps of the hints."""
        return self._lesson.own_networks()

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The weighted sum; beside it both terms, that of the hints, and how often student and teacher agree."""
        outputs, taught, hint = self._lesson.run(networks, batch)
        hard = self.loss_of(outputs, batch)
        student, teacher = self._logits(self, outputs), self._logits(self._lesson.teacher.task, taught)
        soft = self._soft(student, (teacher / self._temperature).softmax(dim=1))
        agrees = student.detach().argmax(dim=1) == teacher.argmax(dim=1)
        value = self._alpha * soft + (1 - self._alpha) * hard.value
        parts = {
            **hard.parts,
            "soft_loss": soft.detach(),
            "hard_loss": hard.value.detach(),
            "teacher_agreement": agrees,
        }
        return self._lesson.with_hint(LossOutput(value, parts), hint)

    @staticmethod
    def _logits(task: object, outputs: Tensor) -> Tensor:
        assert isinstance(task, Classification)
        logits = task.logits(outputs)
        assert logits is not None
        return upcast(logits)


def _has_logits(teacher: Teacher, spec: DataSpec) -> bool:
    task = teacher.task
    return isinstance(task, Classification) and task.logits(torch.zeros(1, task.num_outputs(spec))) is not None
