"""Arguments of what uses a finished run, in Python and on the command line, checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dlexp.errors import ConfigError
from dlexp.tasks.decoding.options import DECODING_KEYS
from dlexp.text.nearest import nearest_name

_PLACES = (
    *("data.path", "data.folder", "data.val_path", "data.test_path", "data.content", "data.style"),
    "task.features",  # a run that was moved
)
_EVALUATION_KEYS = (
    "trainer.device",
    "trainer.precision",
    "trainer.threads",
    "trainer.channels_last",
    "trainer.compile",
    "trainer.tf32",
    "data.eval_batch_size",
    *_PLACES,
    "data.on_bad",
    "data.download",
    "data.in_memory",
    "data.workers",
    *DECODING_KEYS,
)
_BOOLS = {"true": True, "false": False}


def check_checkpoint(value: str) -> None:
    """Raise ConfigError unless `value` is a checkpoint name."""
    check_word("--checkpoint", value, ("best", "last"))


def check_word(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise ConfigError unless `value` is one of `allowed`; the remedy names the closest one."""
    if value not in allowed:
        near = nearest_name(value, allowed)
        remedy = f"Did you mean {near}?" if near else ""
        raise ConfigError.one(name, value, f"must be one of {', '.join(allowed)}", remedy, code="unknown-value")


def evaluation_changes(arguments: Iterable[str], more: Sequence[str] = ()) -> dict[str, Any]:
    """The values of overrides that change where and how fast a finished run is used, and how it puts out sequences.

    Args:
        arguments: The overrides.
        more: Further keys that may be overridden, whose values are lists.

    Raises:
        ConfigError: An override of another key.
    """
    changes: dict[str, Any] = {}
    allowed = (*more, *_EVALUATION_KEYS)
    for word in arguments:
        key, equals, value = word.partition("=")
        if not equals:
            rule = "is a second run, but this command takes one run and overrides KEY=VALUE"
            raise ConfigError.one(word, "", rule, "Repeat the command for each run", code="invalid-syntax")
        if key not in allowed:
            near = nearest_name(key, allowed)
            remedy = f"Did you mean {near}?" if near else f"Only {', '.join(allowed)} can be overridden."
            raise ConfigError.one(key, value, "cannot be overridden for a finished run", remedy, code="not-supported")
        changes[key] = int(value) if value.isdigit() else _BOOLS.get(value.lower(), value)
        if key in DECODING_KEYS:
            changes[key] = _number(value)
        elif key in more:
            from dlexp.config.text_values import list_reading

            changes[key] = list_reading(word)
        elif key in _PLACES:
            from dlexp.config.text_values import plain_reading  # here, since it imports Hydra's grammar

            changes[key] = plain_reading(word)
    return changes


def _number(value: str) -> Any:
    """A number, or None for null; any other text as it is, which the check of the configuration refuses."""
    if value.lower() == "null":
        return None
    for read in (int, float):
        try:
            return read(value)
        except ValueError:
            continue
    return value
