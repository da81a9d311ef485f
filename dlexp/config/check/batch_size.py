"""Rules of `data.batch_size=auto`: the effective batch of an update stays the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dlexp.errors import Problem

AUTO = "auto"


def is_auto(tree: Mapping[str, Any]) -> bool:
    """Return whether the batch size is to be found automatically."""
    return bool(tree["data"].get("batch_size") == AUTO)


def effective_batch_problems(tree: Mapping[str, Any], file_batch_size: object) -> Iterator[Problem]:
    """Resolve trainer.effective_batch in a tree of valid values, and yield a problem for each contradiction.

    If it is not given, an update keeps its number of samples: the batch size of the configuration files times
    trainer.accumulate, which is then reset to 1.

    Args:
        tree: The configuration; modified.
        file_batch_size: data.batch_size in the configuration files, None if they give no number.
    """
    trainer = tree["trainer"]
    wanted, accumulate = trainer["effective_batch"], trainer["accumulate"]
    if not is_auto(tree):
        if wanted is not None:
            rule = f"requires data.batch_size=auto, got {tree['data']['batch_size']}"
            yield Problem(
                "trainer.effective_batch",
                str(wanted),
                rule,
                "Set trainer.accumulate instead.",
                code="missing-requirement",
            )
    elif wanted is None and isinstance(file_batch_size, int) and not isinstance(file_batch_size, bool):
        trainer |= {"effective_batch": file_batch_size * accumulate, "accumulate": 1}
    elif wanted is None:
        rule = "requires an effective batch, which no configuration file gives"
        yield Problem("data.batch_size", AUTO, rule, "Add trainer.effective_batch=N", code="missing-requirement")
    elif accumulate != 1:
        rule = f"cannot be combined with data.batch_size=auto and trainer.effective_batch={wanted}, which determine it"
        yield Problem(
            "trainer.accumulate",
            str(accumulate),
            rule,
            "Remove trainer.accumulate or trainer.effective_batch.",
            code="cannot-combine",
        )
