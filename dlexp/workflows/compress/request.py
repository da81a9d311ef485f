"""What `dlexp compress` is asked for: a chain of steps, and how their result is trained and measured. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dlexp.errors import ConfigError, Problem
from dlexp.text.nearest import nearest_name

SCOPES, NORMS, RANK_RULES = ("layer", "global"), ("l1", "l2"), ("size", "energy")
MODES = ("dynamic", "static", "int8")  # int8 is static
SPLITS = ("val", "test")
MAX_STRENGTHS = 12
_FREE_GROUPS = ("trainer", "optim", "scheduler", "regularization", "logger")
_FREE_KEYS = ("name", "seed", "data.batch_size", "data.eval_batch_size", "data.path", "data.workers", "data.in_memory")


@dataclass(frozen=True)
class Prune:
    """Weights set to zero, or channels removed.

    Attributes:
        strengths: Shares in (0, 1), each of which makes a run.
        scope: layer or global.
        is_structured: Whether whole channels are removed.
        norm: l1 or l2, of the weights of a channel.
        is_gradual: Whether the share grows while the run is fine-tuned.
    """

    strengths: tuple[float, ...]
    scope: str = "layer"
    is_structured: bool = False
    norm: str = "l2"
    is_gradual: bool = False

    @property
    def words(self) -> str:
        """As on the command line, for one strength."""
        found = f"--prune {self.strengths[0]:g}" + (" --scope global" if self.scope == "global" else "")
        if self.is_structured:
            return f"{found} --structured" + ("" if self.norm == "l2" else f" --norm {self.norm}")
        return found + (" --gradual" if self.is_gradual else "")


@dataclass(frozen=True)
class LowRank:
    """Layers replaced by two of a smaller rank.

    Attributes:
        share: In (0, 1): of the weights of a layer, or of the energy of its singular values.
        by: size or energy.
    """

    share: float
    by: str = "size"

    @property
    def words(self) -> str:
        """As on the command line."""
        return f"--low-rank {self.share:g}" + ("" if self.by == "size" else f" --rank-by {self.by}")


@dataclass(frozen=True)
class Quantize:
    """Weights, and with static activations too, as 8-bit integers. mode: dynamic, static or int8, which is static."""

    mode: str

    @property
    def words(self) -> str:
        """As on the command line."""
        return f"--quantize {self.mode}"


Step = Prune | LowRank | Quantize


@dataclass(frozen=True)
class CompressRequest:
    """A compression.

    Attributes:
        steps: Applied in this order.
        epochs: Epochs of fine-tuning, 0 for none.
        has_baseline: Whether a network of the same size is trained from random weights, for as many updates.
        split: The split that both networks are measured on: val or test.
        checkpoint: The weights that are compressed: best or last.
        repeats: Timed calls of each network, 0 to measure no time.
        times_onnx: Whether onnxruntime is timed as well.
        metric: Of the comparison, None for that of the task.
        overrides: As typed.
        command: The command line.
        run_dir: The directory of the result, None for a new one in outputs/compress/.
        trusted: Trusted packages.
        allow_changes: Whether the data or an edited configuration may differ from those of the run.
    """

    steps: tuple[Step, ...]
    epochs: int = 0
    has_baseline: bool = False
    split: str = "val"
    checkpoint: str = "best"
    repeats: int = 100
    times_onnx: bool = False
    metric: str | None = None
    overrides: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    run_dir: Path | None = None
    trusted: tuple[str, ...] = ()
    allow_changes: bool = False

    @property
    def words(self) -> str:
        """The steps, as on the command line."""
        return " ".join(step.words for step in self.steps)

    @property
    def is_quantization_alone(self) -> bool:
        """Whether nothing but the numbers of the network changes."""
        return not self.epochs and all(isinstance(step, Quantize) for step in self.steps)

    def variants(self) -> list[CompressRequest]:
        """A request for each strength of pruning; this one alone where there is one."""
        for place, step in enumerate(self.steps):
            if isinstance(step, Prune) and len(step.strengths) > 1:
                each = [replace(step, strengths=(share,)) for share in step.strengths]
                return [
                    replace(self, steps=(*self.steps[:place], one, *self.steps[place + 1 :]), run_dir=None)
                    for one in each
                ]
        return [self]


def strengths_of(text: str | float | Sequence[float]) -> tuple[float, ...]:
    """The shares in a text such as `0.5` or `0.3,0.5`. Raises ConfigError for all that are none."""
    words = text.split(",") if isinstance(text, str) else [text] if isinstance(text, int | float) else list(text)
    found, problems = [], []
    for word in words:
        try:
            found.append(float(word))
        except (TypeError, ValueError):
            remedy = "Use a share between 0 and 1, such as --prune 0.5, or several: --prune 0.3,0.5"
            problems.append(Problem("--prune", str(word), "must be a number", remedy, code="invalid-type"))
    if problems:
        raise ConfigError(problems)
    return tuple(found)


def check_request(request: CompressRequest) -> None:
    """Raise ConfigError with all problems of a request."""
    problems = [*_of_steps(request.steps), *_of_overrides(request.overrides)]
    for step in request.steps:
        if isinstance(step, Prune):
            problems += _of_pruning(step, request.epochs)
        elif isinstance(step, LowRank):
            problems += _of_share("--low-rank", step.share)
            problems += _of_word("--rank-by", step.by, RANK_RULES)
        else:
            problems += _of_word("--quantize", step.mode, MODES)
    problems += _of_word("--split", request.split, SPLITS)
    problems += _of_word("--checkpoint", request.checkpoint, ("best", "last"))
    for name, number in (("--epochs", request.epochs), ("--repeats", request.repeats)):
        if number < 0:
            problems.append(Problem(name, str(number), "must be at least 0", code="out-of-range"))
    if problems:
        raise ConfigError(problems)


def steps_of(
    prune: str | float | Sequence[float] | None,
    how: Mapping[str, Any],
    low_rank: float | None,
    rank_by: str,
    quantize: str | None,
) -> list[Step]:
    """The steps in the order prune, low rank, quantize.

    Args:
        prune: Shares, None for no pruning.
        how: scope, is_structured, norm and is_gradual of the pruning.
        low_rank: Share, None for no lower ranks.
        rank_by: size or energy.
        quantize: The mode, None for no quantization.

    Raises ConfigError for shares that are no numbers, and for options of a step that is not asked for.
    """
    found: list[Step] = []
    problems = []
    if prune is not None:
        found.append(Prune(strengths_of(prune), **how))
    else:
        plain = Prune(())
        words = {"scope": "--scope", "is_structured": "--structured", "norm": "--norm", "is_gradual": "--gradual"}
        problems += [_lacks(words[key], "--prune") for key, value in how.items() if value != getattr(plain, key)]
    if low_rank is not None:
        found.append(LowRank(low_rank, rank_by))
    elif rank_by != "size":
        problems.append(_lacks("--rank-by", "--low-rank"))
    if quantize is not None:
        found.append(Quantize(quantize))
    if problems:
        raise ConfigError(problems)
    return found


def _lacks(option: str, step: str) -> Problem:
    return Problem(option, "", f"requires {step}", f"Add {step} 0.5.", code="missing-requirement")


def _of_overrides(overrides: Sequence[str]) -> list[Problem]:
    """Problems of overrides of what the run was trained on, and of what the steps decide."""
    problems = []
    for word in overrides:
        key, _, value = word.partition("=")
        key = key.lstrip("+")
        if key == "trainer.epochs":
            rule, remedy = "is set by --epochs", f"Use --epochs {value}"
        elif key not in _FREE_KEYS and key.partition(".")[0] not in _FREE_GROUPS:
            rule = "cannot be overridden: the compressed network is that of the run"
            remedy = f"Only {', '.join((*(f'{group}.*' for group in _FREE_GROUPS), *_FREE_KEYS))} can be overridden."
        else:
            continue
        problems.append(Problem(key, value, rule, remedy, code="not-supported"))
    return problems


def _of_steps(steps: Sequence[Step]) -> list[Problem]:
    if not steps:
        remedy = "Add --prune 0.5, --low-rank 0.5 or --quantize int8."
        return [Problem("dlexp compress", "", "requires a step", remedy, code="missing-value")]
    names = [type(step) for step in steps]
    if Quantize in names[:-1]:
        rule = "must be the last step: a quantized network has no weights that others could change"
        return [Problem("--quantize", "", rule, "Move it to the end of the line.", code="cannot-combine")]
    return []


def _of_pruning(step: Prune, epochs: int) -> list[Problem]:
    problems = [problem for share in step.strengths for problem in _of_share("--prune", share)]
    problems += [*_of_word("--scope", step.scope, SCOPES), *_of_word("--norm", step.norm, NORMS)]
    if len(set(step.strengths)) < len(step.strengths):
        problems.append(Problem("--prune", "", "names a share twice", "Name each once.", code="invalid-value"))
    if len(step.strengths) > MAX_STRENGTHS:
        rule = f"makes at most {MAX_STRENGTHS} runs, got {len(step.strengths)}"
        problems.append(Problem("--prune", "", rule, "Name fewer shares.", code="too-large"))
    if step.is_gradual and step.is_structured:
        rule = "is for single weights: channels are removed at once, before the fine-tuning"
        problems.append(Problem("--gradual", "", rule, "Remove --gradual.", code="cannot-combine"))
    elif step.is_gradual and not epochs:
        rule = "requires fine-tuning, over which the sparsity grows"
        problems.append(Problem("--gradual", "", rule, "Add --epochs 10.", code="missing-requirement"))
    return problems


def _of_share(name: str, share: float) -> list[Problem]:
    if 0 < share < 1:
        return []
    remedy = f"Did you mean {name} {share / 100:g}?" if 1 < share < 100 else "Use a number such as 0.5."
    rule = "must be a share between 0 and 1, neither of them"
    return [Problem(name, f"{share:g}", rule, remedy, code="out-of-range")]


def _of_word(name: str, value: str, allowed: Sequence[str]) -> list[Problem]:
    if value in allowed:
        return []
    near = nearest_name(value, allowed)
    remedy = f"Did you mean {name} {near}?" if near else ""
    return [Problem(name, value, f"must be one of {', '.join(allowed)}", remedy, code="unknown-value")]
