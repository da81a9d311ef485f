"""How tokens are generated, for networks that turn one sequence into another and for language models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from dlexp.errors import ConfigError, Problem
from dlexp.text.nearest import nearest_name
from dlexp.text.quoting import command

# Keys of a configuration that say how sequences are put out: the weights do not depend on them.
DECODING_KEYS = tuple(
    f"task.{name}"
    for name in ("beam", "length_penalty", "temperature", "top_k", "top_p", "repetition_penalty", "max_length")
)


@dataclass(frozen=True)
class GenerationOptions:
    """The options of `dlexp predict` for networks that put out tokens; by default each time the most probable one.

    beam                number of partial sequences that are followed; 1 is greedy
    length_penalty      scores of beams are divided by their number of tokens to this power; 0 prefers short ones
    temperature         divisor of the logits in sampling; None does not sample, unless top_k or top_p is set (then 1)
    top_k               sample from the k most probable tokens
    top_p               sample from the fewest tokens whose probabilities add up to p, in (0, 1]
    repetition_penalty  logits of tokens that were put out are divided by it, or multiplied where negative; 1 for none
    max_length          largest number of tokens; None for that of the data
    seed                seed of sampling; each sequence draws its own numbers, whatever its batch
    """

    beam: int = 1
    length_penalty: float = 1.0
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float = 1.0
    max_length: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises ConfigError with all problems."""
        ranges = {
            "beam": (self.beam >= 1, ">= 1"),
            "length_penalty": (self.length_penalty >= 0, ">= 0"),
            "temperature": (self.temperature is None or self.temperature > 0, "> 0; --beam 1 is greedy"),
            "top_k": (self.top_k is None or self.top_k >= 1, ">= 1"),
            "top_p": (self.top_p is None or 0 < self.top_p <= 1, "in (0, 1]"),
            "repetition_penalty": (self.repetition_penalty > 0, "> 0"),
            "max_length": (self.max_length is None or self.max_length >= 1, ">= 1"),
        }
        problems = [
            Problem(option_word(name), f"{getattr(self, name):g}", f"must be {rule}", code="out-of-range")
            for name, (is_right, rule) in ranges.items()
            if not is_right
        ]
        if self.samples and self.beam > 1:
            named = ", ".join(option_word(name) for name in ("temperature", "top_k", "top_p") if getattr(self, name))
            rule = f"cannot be combined with {named}: beams follow the most probable tokens, and these options draw"
            problems.append(Problem("--beam", str(self.beam), rule, "Remove one of the two.", code="cannot-combine"))
        if problems:
            raise ConfigError(problems)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """The options of these names. Raises ConfigError for unknown ones, with all problems."""
        known = [one.name for one in fields(cls)]
        unknown = [name for name in values if name not in known]
        if unknown:
            rule = f"unknown argument; available: {', '.join(known)}"
            near = {name: nearest_name(name, known) for name in unknown}
            remedies = {name: f"Did you mean {meant}?" if meant else "" for name, meant in near.items()}
            raise ConfigError([Problem(name, "", rule, remedies[name], code="unknown-key") for name in unknown])
        return cls(**values)

    @classmethod
    def of_task(cls, values: Mapping[str, Any]) -> Self:
        """The options of the keys of a task. Raises ConfigError that names the keys."""
        try:
            return cls(**values)
        except ConfigError as error:
            words = {option_word(name): f"task.{name}" for name in values}
            found = []
            for problem in error.problems:
                rule = problem.rule
                for word, key in words.items():
                    rule = rule.replace(word, key)
                found.append(replace(problem, where=words.get(problem.where, problem.where), rule=rule))
            raise ConfigError(found) from None

    def over(self, other: GenerationOptions) -> GenerationOptions:
        """`other` with those of these options that are not as by default."""
        names = [one.name for one in fields(self) if getattr(self, one.name) != one.default]
        return replace(other, **{name: getattr(self, name) for name in names})

    @property
    def samples(self) -> bool:
        """Whether tokens are drawn."""
        return self.temperature is not None or self.top_k is not None or self.top_p is not None

    @property
    def changed(self) -> list[str]:
        """Words of the options that are not as by default."""
        return [option_word(one.name) for one in fields(self) if getattr(self, one.name) != one.default]


def option_word(name: str) -> str:
    """The option of the command line of a field."""
    return f"--{name.replace('_', '-')}"


def option_of_predict(task: str, key: str, value: object) -> str:
    """What to do about a key of decoding for language models, which put texts out in prediction alone; "" for others.

    Args:
        task: The option of the group `task`.
        key: A dotted path.
        value: Its value.
    """
    if task != "language_model" or key not in DECODING_KEYS:
        return ""
    words = command("predict", "latest", "--text", "TEXT", option_word(key.removeprefix("task.")), str(value))
    return f"It is an option of prediction: {words}"
