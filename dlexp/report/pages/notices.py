"""Notices on the page of a run: facts that affect the interpretation of its results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from dlexp.findings import counted
from dlexp.report.number_format import number
from dlexp.report.pages.html import Html, inline_code, sentence
from dlexp.report.pages.run_contents import RunStory
from dlexp.text.quoting import command

_ROSE, _FELL = 1.1, 0.9  # a change of the loss by 10 %
_ENDS = {"failed": "failed", "interrupted": "was interrupted"}


def notices(story: RunStory) -> list[str | Html]:
    """The notices, the most serious first."""
    return [
        *_end(story),
        *_numbers(story),
        *_curves(story),
        *_evaluations(story),
        *_origin(story),
        *story.problems,
    ]


def _end(story: RunStory) -> Iterator[str | Html]:
    status, place = story.status, Path(story.place)
    if status["state"] in ("failed", "interrupted"):
        reason = str(status["reason"]) or "unknown reason"
        yield f"The run {_ENDS[status['state']]} after epoch {status['epoch']} of {status['epochs']}: {reason}"
        yield sentence("Resume it with ", inline_code(command("train", "--resume", place)))
    elif status["state"] == "running":
        yield f"The run is still running, in epoch {status['epoch']} of {status['epochs']}; results are preliminary."


def _numbers(story: RunStory) -> Iterator[str]:
    skipped, rollbacks = (story.summary.get(key) or 0 for key in ("skipped_updates", "rollbacks"))
    if skipped or rollbacks:
        updates, epochs = counted(skipped, "update"), counted(rollbacks, "epoch")
        yield f"NaN or infinite values: {updates} skipped, {epochs} rolled back."
    for note in story.meta.get("notes") or ():
        yield str(note)


def _curves(story: RunStory) -> Iterator[str]:
    """Notices on a best epoch that is the last, and on overfitting."""
    best, last = story.summary.get("best_epoch"), story.summary.get("epochs")
    if best and best == last and last > 1:
        yield f"The best epoch is the last of {last}: more epochs may improve the result."
    train, val = story.curve("train/loss"), story.curve("val/loss")
    if len(val) < 3 or len(train) < 3:
        return
    at, lowest = min(val, key=lambda point: point[1])
    end, loss = val[-1]
    before = next((value for epoch, value in train if epoch == at), None)
    after = train[-1][1]
    if lowest > 0 and loss > _ROSE * lowest and before is not None and 0 < after < _FELL * before:
        yield (
            f"val/loss rose from {lowest:.4g} in epoch {at} to {loss:.4g} in epoch {end}, while train/loss fell from "
            f"{before:.4g} to {after:.4g}: the model was overfitting. The saved weights are those of the best epoch."
        )


def _evaluations(story: RunStory) -> Iterator[str | Html]:
    place = Path(story.place)
    if "test" not in {found.split for found in story.evaluated} and story.summary:
        yield sentence("The test split was not evaluated: ", inline_code(command("evaluate", place)))
    for found in story.evaluated:
        accesses = found.content.get("split_accesses")
        if found.split == "test" and isinstance(accesses, int) and accesses > 1:
            times = f"was evaluated {accesses} times"
            yield f"The test split {times}: if it was used for a selection, its metrics are biased."
        if found.content.get("data_as_trained") is False:
            yield f"The {found.split} split was evaluated on different data than the run was trained on."


def _origin(story: RunStory) -> Iterator[str]:
    if story.meta.get("dirty"):
        yield "The code had uncommitted changes, which are saved in git.diff."
    for change in story.meta.get("changed") or ():
        if isinstance(change, Mapping):
            before, after = number("", change.get("before")), number("", change.get("after"))
            yield f"Since the start, {change.get('path')} has changed: {before} -> {after} ({change.get('time')})."
