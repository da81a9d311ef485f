"""Hints: inner layers of a student learn to put out what inner layers of its teacher do (Romero et al. 2015, FitNets).

Symbols: B batch, F features of a layer of the student, G of the teacher's, T positions, H and W height and width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.errors import ConfigError, message_of
from dlexp.networks.inspection.outputs import as_found, first_tensor
from dlexp.runtime.seed import kept_randomness
from dlexp.tasks.base import Networks, forward
from dlexp.tasks.distillation.teacher import Teacher
from dlexp.text.nearest import nearest_name
from dlexp.types import Field

NETWORK = "hints"  # the name of the learned maps among the networks of a run
_NAMED = 8  # layers that a message names


class Hints:
    """Pairs of layers, and a learned linear map from what the student's puts out to what the teacher's does.

    The loss of a pair is the mean squared difference over all elements. Features lie in the last dimension, of images
    (B, F, H, W) in the second; where heights and widths differ, the larger map is averaged down to the smaller one.

    Args:
        pairs: Layer of the student -> layer of the teacher, by the names that `dlexp summary` shows.
        teacher: The teacher.
        inputs: One sample, to measure the layers with.
    """

    def __init__(self, pairs: Mapping[str, str], teacher: Teacher, inputs: Field) -> None:
        """Raises ConfigError for a layer that the teacher has not."""
        self._pairs, self._teacher, self._inputs = dict(pairs), teacher, inputs
        self._shapes: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
        _check_names("teacher", list(self._pairs.values()), teacher.network)

    def measure(self, student: nn.Module) -> None:
        """Find the shapes that both put out for a sample, on the CPU; nothing in the networks is changed.

        Raises ConfigError for a layer that the student has not, and for two whose outputs no linear map connects.
        """
        _check_names("student", list(self._pairs), student)
        given = self._outputs_of(student, list(self._pairs))
        taken = self._outputs_of(self._teacher.network, list(self._pairs.values()))
        for (ours, theirs), student_shape, teacher_shape in zip(self._pairs.items(), given, taken, strict=True):
            if problem := _misfit(student_shape, teacher_shape):
                rule = f"cannot be mapped to {theirs}: {problem}"
                remedy = "Name two layers whose outputs have the same number of dimensions."
                raise ConfigError.one("task.hints", ours, rule, remedy, code="incompatible-data")
            self._shapes.append((student_shape, teacher_shape))

    def maps(self) -> nn.ModuleList:
        """New maps, one for each pair, as `measure` found their sizes."""
        return nn.ModuleList(
            nn.Conv2d(ours[1], theirs[1], 1) if len(ours) == 4 else nn.Linear(ours[-1], theirs[-1])
            for ours, theirs in self._shapes
        )

    def run(self, networks: Networks, inputs: Field) -> tuple[Tensor, Tensor, Tensor]:
        """(outputs of the student, outputs of the teacher, mean loss of the pairs, shape ())."""
        with captured(networks["model"], list(self._pairs)) as given:
            outputs = forward(networks["model"], inputs)
        with captured(self._teacher.network, list(self._pairs.values())) as taken:
            taught = self._teacher.outputs(inputs)
        losses = []
        for number, (ours, theirs) in enumerate(self._pairs.items()):
            if ours not in given:
                rule = "was not run on its own in training"
                remedy = "Set trainer.compile=false, or name another layer."
                raise ConfigError.one("task.hints", ours, rule, remedy, code="cannot-combine")
            network = networks[NETWORK]
            assert isinstance(network, nn.ModuleList)
            losses.append(_difference(network[number](given[ours]), taken[theirs]))
        return outputs, taught, torch.stack(losses).mean()

    def _outputs_of(self, network: nn.Module, names: Sequence[str]) -> list[tuple[int, ...]]:
        """The shapes of the outputs of some layers for one sample."""
        with kept_randomness(), as_found(network), torch.no_grad(), captured(network, names) as found:
            try:
                forward(network, self._inputs)
            except Exception as error:  # a network may raise anything
                rule = f"the outputs of layers cannot be measured: {message_of(error)}"
                raise ConfigError.one("task.hints", "", rule, "Remove task.hints.", code="not-supported") from error
        if silent := [name for name in names if name not in found]:
            rule = "puts out no tensor when the network runs"
            raise ConfigError.one("task.hints", silent[0], rule, "Name another layer.", code="incompatible-data")
        return [tuple(found[name].shape) for name in names]


@contextmanager
def captured(network: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Layer -> its output with its graph, of the last call in the body; the hooks are removed afterwards."""
    found: dict[str, Tensor] = {}

    def keep(name: str, output: object) -> None:
        tensor = first_tensor(output)
        if tensor is not None:
            found[name] = tensor

    handles = [
        network.get_submodule(name).register_forward_hook(lambda module, given, output, name=name: keep(name, output))
        for name in dict.fromkeys(names)
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _difference(ours: Tensor, theirs: Tensor) -> Tensor:
    """The mean squared difference, shape (), in float32 at least."""
    if ours.dim() == 4 and ours.shape[2:] != theirs.shape[2:]:
        size = (min(ours.shape[2], theirs.shape[2]), min(ours.shape[3], theirs.shape[3]))
        ours, theirs = F.adaptive_avg_pool2d(ours, size), F.adaptive_avg_pool2d(theirs, size)
    return F.mse_loss(ours.float(), theirs.float())


def _misfit(ours: tuple[int, ...], theirs: tuple[int, ...]) -> str:
    """Why no map leads from one shape to another, "" where one does."""
    texts = f"{ours[1:]} numbers for a sample, and {theirs[1:]}"
    if len(ours) != len(theirs) or len(ours) not in (2, 3, 4):
        return texts
    return texts if len(ours) == 3 and ours[1] != theirs[1] else ""


def _check_names(whose: str, names: Sequence[str], network: nn.Module) -> None:
    """Raise ConfigError for names that are none of layers."""
    known = [name for name, _ in network.named_modules() if name]
    for name in names:
        if name not in known:
            near = nearest_name(name, known)
            listed = ", ".join(known[:_NAMED]) + (f" and {len(known) - _NAMED} more" if len(known) > _NAMED else "")
            remedy = f"Did you mean {near}?" if near else f"Its layers: {listed}."
            raise ConfigError.one("task.hints", name, f"no layer of the {whose}", remedy, code="unknown-value")
