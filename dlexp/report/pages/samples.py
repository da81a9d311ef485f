"""The section of a run's page about its samples: while it trained, of `dlexp sample`, and the parts of its loss."""

from __future__ import annotations

from collections.abc import Iterator

from dlexp.report.number_format import number
from dlexp.report.pages.html import Html, Section, html_table, picture
from dlexp.report.pages.run_contents import RunStory

_MADE = {
    "samples": "Samples made by dlexp sample.",
    "interpolation": "From one sample to another.",
    "reconstruction": "Samples of the data, and what the model makes of them.",
    "traversal": "One latent number from -3 to 3 deviations.",
}
_FRAME = "epoch_"


def samples_section(story: RunStory) -> Section:
    """The pictures of samples/, and the parts of the loss in the last epoch; empty for a run without any."""
    return Section("Samples", (*_pictures(story), *_parts(story)) if story.samples else ())


def _pictures(story: RunStory) -> Iterator[Html]:
    for name, content in story.samples.items():
        if name.startswith(_FRAME):
            text = f"After epoch {int(name.removeprefix(_FRAME))}, with the weights that are evaluated."
        elif name == "animation":
            text = "The same in the course of training."
        else:
            text = _MADE[name]
        yield picture(content, text, text)


def _parts(story: RunStory) -> Iterator[Html]:
    """What the loss consists of, in the training and the validation split; nothing for a loss of one part."""
    if not story.rows:
        return
    last = story.rows[-1]
    names = {name.partition("/")[2] for name in story.columns if name.startswith(("train/", "val/"))} - {"loss"}
    in_order = [name for name in dict.fromkeys(c.partition("/")[2] for c in story.columns) if name in names]
    rows = [[name, *(_cell(name, last.get(f"{split}/{name}")) for split in ("train", "val"))] for name in in_order]
    if rows:
        caption = f"Parts of the loss and metrics in epoch {last['epoch']}."
        yield html_table(caption, ["name", "train", "val"], rows, numbers=frozenset(["train", "val"]))


def _cell(name: str, text: str | None) -> str:
    try:
        return number(name, float(text or ""))
    except ValueError:
        return ""
