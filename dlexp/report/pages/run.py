"""The page of a run: results, notices, curves, evaluation, configuration and environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dlexp.report.number_format import number
from dlexp.report.pages.compression import compression_section
from dlexp.report.pages.diagnosis import diagnosis_section
from dlexp.report.pages.evaluation import evaluated_section
from dlexp.report.pages.explanations import explanations_section
from dlexp.report.pages.html import (
    Html,
    Section,
    bullet_list,
    code,
    definition_list,
    folded,
    html_table,
    page,
    paragraph,
    picture,
)
from dlexp.report.pages.notices import notices
from dlexp.report.pages.run_contents import RunStory
from dlexp.report.pages.samples import samples_section
from dlexp.text.quoting import command
from dlexp.text.time_format import readable, spoken

_MAX_EPOCHS = 100  # rows of the table of epochs; with more epochs, every n-th
_MAX_FILES = 200
_STATES = {"finished": "Finished", "failed": "Failed", "interrupted": "Interrupted", "running": "Still running"}
_SPLITS = {"val": "validation split", "train": "training split"}
_ALSO = "The same weights have"
_INSPECTED = {
    "filters": "Filters of the first layer.",
    "weights": "Weights of each layer, before and after training.",
    "gradients": "Gradients of each layer, before and after training.",
    "activations": "Outputs of each layer, with dead and saturated units.",
    "embeddings": "Features before the last layer: principal components and t-SNE.",
    "data_inputs": "Distribution of the inputs in each split.",
    "data_classes": "Share of the classes in each split.",
}
_MADE_WITH = ("dlexp", "commit", "python", "torch", "cuda", "gpu", "system", "host", "threads")
_MADE_WITH_IN = {"commit": "git commit", "gpu": "GPU", "cuda": "CUDA"}


def run_page(story: RunStory, version: str) -> str:
    """The page as HTML.

    Args:
        story: The contents of the run.
        version: The version of dlexp.
    """
    sections = [
        Section("Summary", _summary(story)),
        Section("Notices", (bullet_list(found),) if (found := notices(story)) else ()),
        compression_section(story.compression),
        diagnosis_section(story),
        Section("Curves", _curves(story)),
        samples_section(story),
        *(evaluated_section(found) for found in story.evaluated),
        Section("Evaluation", () if story.evaluated else _not_evaluated(story)),
        Section("Inspection", _inspected(story)),
        explanations_section(story),
        Section("Configuration", _configuration(story)),
        Section("Reproduce", _repeat(story)),
        Section("Environment", _environment(story)),
        Section("Files", _files(story)),
    ]
    footer = f"Written by dlexp {version} from the files in {story.place}."
    return page(f"Run {story.name}", _lead(story), sections, footer)


def _lead(story: RunStory) -> str:
    """The result in sentences: the metric that decided, at the best epoch, then another one that is easier to read."""
    status, summary = story.status, story.summary
    text = f"{_STATES.get(str(status['state']), str(status['state']))}, {status['epoch']} of {status['epochs']} epochs"
    epoch, value = summary.get("best_epoch"), _decided(story)
    if not story.monitor or not epoch or value is None:
        return f"{text}."
    split, _, name = story.monitor.partition("/")
    where = _SPLITS.get(split, f"{split} split")
    text += f". {story.monitor} {number(name, value)} in the best epoch, {epoch}, as decided on the {where}"
    best = summary.get("best")
    others = [other for other in best if other not in ("loss", name)][:1] if isinstance(best, Mapping) else []
    found = [f"val/{other} {number(other, best[other])}" for other in others] if isinstance(best, Mapping) else []
    tests = next((each.metrics for each in story.evaluated if each.split == "test"), {})
    found += [f"test/{other} {number(other, tests[other])}" for other in (name, *others) if other in tests]
    return f"{text}. {_ALSO}: {', '.join(found)}." if found else f"{text}."


def _decided(story: RunStory) -> float | None:
    """The monitored metric at the best epoch, None if it is not known."""
    split, _, name = story.monitor.partition("/")
    best = story.summary.get("best")
    if split == "val" and isinstance(best, Mapping) and isinstance(best.get(name), int | float):
        return float(best[name])
    rows = [row for row in story.rows if row.get("epoch") == str(story.summary.get("best_epoch"))]
    try:
        return float(rows[0][story.monitor]) if rows else None
    except (KeyError, ValueError):
        return None


def _summary(story: RunStory) -> tuple[Html, ...]:
    meta, summary = story.meta, story.summary
    samples = meta.get("samples")
    seconds = summary.get("seconds")
    pairs = {
        "model": _with_count(meta.get("model"), meta.get("parameters"), "parameters"),
        "data": meta.get("data"),
        "samples": ", ".join(f"{count:,} {split}" for split, count in samples.items()) if samples else None,
        "task": meta.get("interpretation") or meta.get("task"),
        "monitored metric": story.monitor or None,
        "end": summary.get("reason"),
        "training time": spoken(seconds) if isinstance(seconds, int | float) else None,
        "seed": meta.get("seed"),
        "started": readable(meta.get("started")),
        "directory": story.place,
    }
    return (definition_list({label: value for label, value in pairs.items() if value is not None}), *_results(story))


def _with_count(name: object, count: object, noun: str) -> str | None:
    if name is None:
        return None
    return f"{name}, {count:,} {noun}" if isinstance(count, int) else str(name)


def _results(story: RunStory) -> Iterator[Html]:
    """A table with a column for the best epoch and for each evaluated split."""
    reasons = story.summary.get("undefined") or {}
    best = {name: None if f"val/{name}" in reasons else v for name, v in (story.summary.get("best") or {}).items()}
    if not best and not story.evaluated:
        yield paragraph("There are no results yet: the run has not finished.")
        return
    columns = {"val, best epoch": best, **{f"{found.split}, evaluated": found.metrics for found in story.evaluated}}
    columns = {name: values for name, values in columns.items() if values}
    names = list(best or dict.fromkeys(name for values in columns.values() for name in values))
    rows = [
        [name, *(number(name, values[name]) if name in values else "" for values in columns.values())] for name in names
    ]
    yield html_table("Metrics of the saved weights.", ["metric", *columns], rows, numbers=frozenset(columns))
    for name, reason in reasons.items():
        yield paragraph(f"{name} is undefined: {reason}.")


def _curves(story: RunStory) -> tuple[Html, ...]:
    if not story.rows:
        return (paragraph("No epoch has finished, so there are no curves."), *_rate_found(story))
    parts = []
    if "curves" in story.pictures:
        text = "Training and validation metrics and learning rate over the epochs; a dotted line marks the best epoch."
        narrow = story.pictures.get("curves_narrow")
        parts.append(picture(story.pictures["curves"], f"{text} {_in_words(story)}", text, narrow))
    every = -(-len(story.rows) // _MAX_EPOCHS)
    best = str(story.summary.get("best_epoch"))
    chosen = [
        row for at, row in enumerate(story.rows) if at % every == 0 or row["epoch"] == best or row is story.rows[-1]
    ]
    rows = [
        [row["epoch"], *(_epoch_cell(name, row[name]) for name in story.columns if name != "epoch")] for row in chosen
    ]
    names = ["epoch", *(name for name in story.columns if name != "epoch")]
    marked = next((at for at, row in enumerate(chosen) if row["epoch"] == best), None)
    caption = f"{len(chosen)} of {len(story.rows)} epochs, the best highlighted; see metrics.csv for all digits."
    shown = html_table(caption, names, rows, numbers=frozenset(names), marked=marked)
    return (*parts, folded("Metrics by epoch", shown), *_rate_found(story))


def _epoch_cell(name: str, text: str) -> str:
    try:
        value = float(text)
    except ValueError:
        return text
    return number(name, int(value) if name in ("step", "epoch") else value)


def _in_words(story: RunStory) -> str:
    """A description of the curves for the alternative text."""
    texts = []
    for column in dict.fromkeys(("train/loss", "val/loss", story.monitor)):
        curve = story.curve(column)
        if curve:
            (first, start), (last, end) = curve[0], curve[-1]
            texts.append(
                f"{column} goes from {number(column, start)} in epoch {first} to {number(column, end)} in {last}"
            )
    return "; ".join(texts) + "." if texts else ""


def _rate_found(story: RunStory) -> tuple[Html, ...]:
    if "lr_find" not in story.pictures:
        return ()
    text = "The range test that selected the learning rate: loss over the learning rate."
    return (picture(story.pictures["lr_find"], text, text),)


def _not_evaluated(story: RunStory) -> tuple[Html, ...]:
    if not story.summary:
        return (paragraph("The run has not finished, so nothing was evaluated."),)
    text = "No split was evaluated. Measure it with intervals, figures and predictions:"
    return (paragraph(text), code(command("evaluate", Path(story.place))))


def _inspected(story: RunStory) -> tuple[Html, ...]:
    """The figures of `dlexp inspect`."""
    found = []
    for name, png in story.inspected.items():
        layer = name.removeprefix("features_")
        text = _INSPECTED.get(name, f"Outputs of the layer {layer} for one sample." if layer != name else f"{name}.")
        found.append(picture(png, text, text))
    return tuple(found)


def _configuration(story: RunStory) -> tuple[Html, ...]:
    found = story.configuration
    parts = [paragraph(found.unknown)] if found.unknown else []
    if found.choices:
        caption = "Options that differ from the default configuration."
        parts.append(html_table(caption, ["group", "default", "this run"], found.choices))
    if found.changes:
        caption = "Values that differ from those of the selected options."
        parts.append(html_table(caption, ["key", "default", "this run"], found.changes))
    if not found.unknown and not found.choices and not found.changes:
        parts.append(paragraph("The default configuration."))
    if found.values:
        caption = "All values, from config.yaml."
        parts.append(folded(f"All {len(found.values)} values", html_table(caption, ["key", "value"], found.values)))
    return tuple(parts)


def _repeat(story: RunStory) -> tuple[Html, ...]:
    parts = []
    if story.command:
        parts += [paragraph("The command that started it:"), code(story.command)]
    parts += [
        paragraph("Repeat the run; the results are bit-identical on the same machine, code and data:"),
        code(command("train", "--from", Path(story.place))),
    ]
    hashes = {name: story.meta.get(f"{name}") for name in ("seed", "data_fingerprint", "split_hash")}
    shown = {name.replace("_", " "): value for name, value in hashes.items() if value is not None}
    return (*parts, definition_list(shown)) if shown else tuple(parts)


def _environment(story: RunStory) -> tuple[Html, ...]:
    meta = story.meta
    if not meta:
        return (paragraph("meta.json not found: machine and versions are unknown."),)
    made_with = {_MADE_WITH_IN.get(name, name): meta[name] for name in _MADE_WITH if meta.get(name) is not None}
    parts = [definition_list(made_with)]
    settings = meta.get("settings")
    if isinstance(settings, Mapping) and settings:
        rows = [_setting(name, entry) for name, entry in settings.items()]
        caption = "Settings selected for the machine, with reasons."
        parts.append(html_table(caption, ["setting", "value", "reason", "override with"], rows))
    if story.packages:
        parts.append(folded(f"All {len(story.packages)} installed packages", code("\n".join(story.packages))))
    return tuple(parts)


def _setting(name: str, entry: Any) -> Sequence[object]:
    known = entry if isinstance(entry, Mapping) else {"value": entry}
    return [name, *(known.get(key) for key in ("value", "reason", "override"))]


def _files(story: RunStory) -> tuple[Html, ...]:
    if not story.files:
        return ()
    total = sum(size for _, size in story.files)
    rows = [[name, f"{size:,}"] for name, size in story.files[:_MAX_FILES]]
    left = len(story.files) - len(rows)
    caption = f"{len(story.files)} files, {total:,} bytes" + (f"; {left} more not listed." if left else ".")
    return (folded(caption, html_table(caption, ["file", "bytes"], rows, numbers=frozenset(["bytes"]))),)
