"""`data.batch_size=auto`: what an update must still hold when the batch is yet to be found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dlexp.errors import Problem

AUTO = "auto"


def is_auto(tree: Mapping[str, Any]) -> bool:
    """Whether the batch size of a configuration is yet to be found."""
    return bool(tree["data"].get("batch_size") == AUTO)


def effective_batch_problems(tree: Mapping[str, Any], written: object) -> Iterator[Problem]:
    """Settle trainer.effective_batch of a tree whose values keep their rules; a problem for each contradiction.

    Where the line does not say it, an update keeps the samples that it would have had: the batch size that the files
    say times trainer.accumulate, which is then free.

    written  data.batch_size as the files say it, None where they say no number
    """
    trainer = tree["trainer"]
    wanted, accumulate = trainer["effective_batch"], trainer["accumulate"]
    if not is_auto(tree):
        if wanted is not None:
            rule = f"is for data.batch_size=auto, and data.batch_size is {tree['data']['batch_size']}"
            yield Problem(
                "trainer.effective_batch",
                str(wanted),
                rule,
                "set trainer.accumulate, or leave it out",
                code="missing-requirement",
            )
    elif wanted is None and isinstance(written, int) and not isinstance(written, bool):
        trainer |= {"effective_batch": written * accumulate, "accumulate": 1}
    elif wanted is None:
        rule = "keeps the samples of an update, and no file says how many those are"
        yield Problem("data.batch_size", AUTO, rule, "add trainer.effective_batch=N", code="missing-requirement")
    elif accumulate != 1:
        rule = f"is what data.batch_size=auto finds, so that an update has trainer.effective_batch={wanted} samples"
        yield Problem("trainer.accumulate", str(accumulate), rule, "leave one of the two out", code="cannot-combine")
