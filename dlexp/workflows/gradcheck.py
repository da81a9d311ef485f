"""The workflow `dlexp gradcheck`: the gradients of a model and its loss against numerical ones, in float64."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from dlexp.assemble.experiment import Experiment
from dlexp.config.schema.run import RunConfig
from dlexp.data.loaders import EvalBatches
from dlexp.errors import ConfigError, Diverged, DlexpError, NoResult, message_of
from dlexp.networks.inspection.float64 import in_float64
from dlexp.networks.inspection.gradient_check import CheckSettings, Derivative, TensorCheck, check_gradients
from dlexp.runtime.seed import generator, kept_randomness, seed_global
from dlexp.tasks.base import Task
from dlexp.types import Batch, Field, Sequences
from dlexp.workflows.prepare.initial_weights import prepared

_BATCH_NORMS = (nn.modules.batchnorm._BatchNorm,)
_PURPOSE = "gradcheck"
_MOVED = 1e-3  # of the root mean square of a tensor; a hundred times the step of the differences
_KEEP_TYPE = "Convert tensors that forward makes or keeps to the type of its inputs: .to(x.dtype)"


@dataclass(frozen=True)
class GradcheckRequest:
    """What to check.

    Attributes:
        samples: Training samples, without augmentation, that the loss is computed of.
        mode: train (dropout active with one mask, batch normalization with fixed statistics) or eval.
        settings: How gradients are compared.
    """

    samples: int = 8
    mode: str = "train"
    settings: CheckSettings = field(default_factory=CheckSettings)


def gradcheck(
    config: RunConfig, request: GradcheckRequest, trusted: Sequence[str], on_tensor: Callable[[str, int], None]
) -> dict[str, Any]:
    """Compare the gradients of all trainable parameters and of the inputs; returns what was found.

    Args:
        config: The configuration; precision, compilation and device do not matter.
        request: The samples, the mode and the tolerance.
        trusted: Trusted packages.
        on_tensor: Receives the name of each tensor that was checked and how many there are.

    Raises:
        ConfigError: The model cannot compute in float64, or two evaluations of the loss differ.
        Diverged: The loss is not finite.
        NoResult: Nothing could be compared.
    """
    trainer = replace(config.trainer, device="cpu", precision="fp32", compile=False, checkpoint_activations=False)
    found: list[dict[str, Any]] = []
    losses: dict[str, float] = {}
    with kept_randomness():
        experiment = prepared(replace(config, trainer=trainer), trusted)
        with in_float64():
            for phase in experiment.task.phases:
                with _in_double(config):
                    loss = _PhaseLoss.of(experiment, phase, request)
                    losses[phase] = _checked_value(loss, config)
                found += _compared(loss, experiment, request, on_tensor)
    return _content(config, experiment, request, found, losses)


def _compared(
    loss: _PhaseLoss, experiment: Experiment, request: GradcheckRequest, on_tensor: Callable[[str, int], None]
) -> Iterator[dict[str, Any]]:
    """The comparison of each tensor of a phase."""
    draws = generator(experiment.config.seed, _PURPOSE, "entries")
    for one in check_gradients(loss, loss.tensors, request.settings, draws):
        yield _as_dict(f"{loss.phase}: " if len(experiment.task.phases) > 1 else "", one)
        on_tensor(one.name, len(loss.tensors))


class _PhaseLoss:
    """The loss of a phase as a function of its tensors alone: seeds, buffers and modes are put back each time."""

    def __init__(self, task: Task, networks: nn.ModuleDict, phase: str, batch: Batch, seed: int) -> None:
        self._task, self._networks, self.phase, self._batch, self._seed = task, networks, phase, batch, seed
        self._buffers = {name: buffer.clone() for name, buffer in networks.named_buffers()}
        self.tensors = dict(_parameters(task, networks, phase)) | dict(_input_tensors(batch.inputs))

    @classmethod
    def of(cls, experiment: Experiment, phase: str, request: GradcheckRequest) -> _PhaseLoss:
        """With copies of networks and task; the experiment stays as it is."""
        networks, task = copy.deepcopy((experiment.networks, experiment.task))
        networks.double()
        for part in vars(task).values():
            if isinstance(part, nn.Module):
                part.double()
        count = min(request.samples, len(experiment.bundle.splits["train"]))
        bundle = experiment.bundle.with_split_subset("train", torch.arange(count))
        batch = next(iter(EvalBatches(bundle, "train", count, experiment.device)))
        made = cls(task, networks, phase, replace(batch, inputs=_wide_leaves(batch.inputs)), experiment.config.seed)
        draws = generator(experiment.config.seed, _PURPOSE, "moved")
        for tensor in made.tensors.values():
            _move(tensor, draws)
        made.set_mode(request.mode)
        return made

    def set_mode(self, mode: str) -> None:
        """Fix batch normalization: at the statistics of this batch for training, which a first pass measures."""
        norms = [module for module in self._networks.modules() if isinstance(module, _BATCH_NORMS)]
        norms = [norm for norm in norms if norm.track_running_stats]
        self._networks.train(mode == "train")
        if mode == "train" and norms:
            rates = [norm.momentum for norm in norms]
            for norm in norms:
                norm.momentum = 1.0
            with torch.no_grad():
                self()
                self._buffers |= {
                    name: buffer.clone()
                    for name, buffer in self._networks.named_buffers()
                    if name.endswith(("running_mean", "running_var"))
                }
            for norm, rate in zip(norms, rates, strict=True):
                norm.momentum = rate
                norm.eval()

    def __call__(self) -> Tensor:
        with torch.no_grad():
            for name, buffer in self._networks.named_buffers():
                if name in self._buffers:
                    buffer.copy_(self._buffers[name])
        seed_global(self._seed, _PURPOSE)
        self._task.begin_phase(0, 0)
        return self._task.loss(self.phase, dict(self._networks.items()), self._batch).value


def _checked_value(loss: _PhaseLoss, config: RunConfig) -> float:
    """The loss, which must be finite, float64, and the same twice."""
    first, second = loss().detach(), loss().detach()
    if first.dtype != torch.float64:
        kind = str(first.dtype).removeprefix("torch.")
        rule = f"gives a loss of {kind} for float64 inputs and weights, too few digits for numerical gradients"
        raise ConfigError.one(*_named(config), rule, _KEEP_TYPE, code="invalid-type")
    if not bool(torch.isfinite(first)):
        raise Diverged(f"the loss of the initial weights is {float(first)}")
    if not torch.equal(first, second):
        rule = (
            f"gives {float(first):.9g} and {float(second):.9g} for the same weights, samples and seed, "
            "so that no difference of losses is a derivative"
        )
        remedy = "Draw from the generators of torch, NumPy or Python, and keep what changes between calls in buffers."
        raise ConfigError.one(*_named(config), rule, remedy, code="invalid-value")
    return float(first)


@contextmanager
def _in_double(config: RunConfig) -> Iterator[None]:
    """Convert what a network raises in float64, which it did not in float32, to ConfigError."""
    try:
        yield
    except DlexpError:
        raise
    except Exception as error:  # a network may raise anything
        rule = f"cannot compute in float64: {message_of(error)}"
        raise ConfigError.one(*_named(config), rule, _KEEP_TYPE, code="invalid-type") from error


def _named(config: RunConfig) -> tuple[str, str]:
    return "model", config.model.option


def _parameters(task: Task, networks: nn.ModuleDict, phase: str) -> Iterator[tuple[str, Tensor]]:
    """The trainable parameters of the networks of a phase, by their names in the network."""
    chosen = task.phases[phase].networks
    for network in chosen:
        for name, parameter in networks[network].named_parameters():
            if parameter.requires_grad and parameter.numel():
                yield (name if len(networks) == 1 else f"{network}.{name}"), parameter


def _wide_leaves(given: Field) -> Field:
    """Inputs whose floating-point tensors are float64 leaves of the graph."""
    if isinstance(given, Tensor):
        return _leaf(given)
    if isinstance(given, Sequences):
        return replace(given, values=_leaf(given.values))
    return {name: _leaf(tensor) for name, tensor in given.items()}


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().double().requires_grad_() if tensor.is_floating_point() else tensor


def _move(tensor: Tensor, draws: torch.Generator) -> None:
    """Move every element by up to a thousandth of their usual size, away from ties: equal pixels, biases of 0."""
    usual = float(tensor.detach().square().mean().sqrt()) or 1.0
    drawn = 2 * torch.rand(tuple(tensor.shape), generator=draws, dtype=torch.float64) - 1
    tensor.detach().add_(drawn, alpha=_MOVED * usual)


def _input_tensors(given: Field) -> Iterator[tuple[str, Tensor]]:
    """The inputs that have a gradient, after the parameters; token ids have none."""
    if isinstance(given, Mapping):
        named = {f"inputs.{name}": tensor for name, tensor in given.items()}
    else:
        named = {"inputs": given.values if isinstance(given, Sequences) else given}
    yield from ((name, tensor) for name, tensor in named.items() if tensor.requires_grad)


def _as_dict(prefix: str, one: TensorCheck) -> dict[str, Any]:
    return {
        "name": f"{prefix}{one.name}",
        "shape": list(one.shape),
        "verdict": one.verdict,
        "error": None if one.worst is None else one.worst.error,
        "compared": one.compared,
        "kinks": one.kinks,
        "largest_gradient": one.largest_gradient,
        "worst": None if one.worst is None else _comparison(one.worst),
    }


def _comparison(one: Derivative) -> dict[str, Any]:
    place = None if one.position is None else list(one.position)
    return {"position": place, "analytic": one.analytic, "numeric": one.numeric, "error": one.error}


def _content(
    config: RunConfig,
    experiment: Experiment,
    request: GradcheckRequest,
    found: list[dict[str, Any]],
    losses: Mapping[str, float],
) -> dict[str, Any]:
    measured = [one for one in found if one["error"] is not None]
    if not measured:
        raise NoResult(
            f"no gradient could be compared: the loss has no derivative at the initial weights ({len(found)} tensors). "
            "Use another seed, such as seed=1, or --samples with another number"
        )
    if not any(one["verdict"] in ("ok", "wrong") for one in found):
        value = ", ".join(f"{number:.6g}" for number in losses.values())
        raise NoResult(
            f"the loss ({value}) does not change with any parameter or input, so there is no gradient to compare. "
            "Use more samples, such as --samples 32"
        )
    worst = max(measured, key=lambda one: float(one["error"]))
    frozen = [name for name, p in experiment.networks.named_parameters() if not p.requires_grad]
    return {
        "ok": not any(one["verdict"] == "wrong" for one in found),
        "model": config.model.option,
        "data": config.data_name,
        "loss": config.loss.option,
        "values": dict(losses),
        "samples": min(request.samples, len(experiment.bundle.splits["train"])),
        "mode": request.mode,
        "tolerance": request.settings.tolerance,
        "step": request.settings.step,
        "worst": worst["name"],
        "wrong": [one["name"] for one in found if one["verdict"] == "wrong"],
        "unused": [one["name"] for one in found if one["verdict"] == "unused"],
        "unchecked": [one["name"] for one in found if one["verdict"] == "unchecked"],
        "frozen": frozen,
        "tensors": found,
    }
