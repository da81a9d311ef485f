"""The page of a study: best trial, confirmation, plots, trials and search space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlexp.report.number_format import number
from dlexp.report.pages.html import Cell, Html, Section, code, definition_list, html_table, page, paragraph, picture
from dlexp.text.quoting import command

# figure name -> (caption, note), in the order of the page
PICTURES = {
    "history": (
        "{metric} of all trials, and the best so far",
        "A pruned trial is shown at its last value.",
    ),
    "importances": (
        "Parameter importances for the best tenth of the trials by {metric}",
        "PED-ANOVA over the complete trials: how much the distribution of a parameter among the best tenth differs "
        "from that among all, as a share of the sum over the parameters. It is not a share of variance and has no "
        "direction. With fewer than 50 complete trials, the best tenth has fewer than five, and the evidence is weak.",
    ),
    "parallel": (
        "Parameters of all complete trials, one line each",
        "Dotted lines pass parameters that a trial does not have.",
    ),
    "slices": ("{metric} over the values of each parameter", "Pruned trials are shown at their last value."),
    "intermediate": ("{metric} of all trials over the epochs", "The value of a trial is that of its best epoch."),
}


@dataclass(frozen=True)
class StudyContext:
    """Facts about a study that are not in study.json.

    Attributes:
        place: The directory of the study.
        command: The command line, "" if unknown.
        versions: Software -> version.
    """

    place: str
    command: str
    versions: Mapping[str, str]


def study_page(
    content: Mapping[str, Any],
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    pictures: Mapping[str, bytes],
    about: StudyContext,
) -> str:
    """The page as HTML.

    Args:
        content: study.json.
        columns: Of trials.csv.
        rows: Of trials.csv.
        pictures: Name -> PNG.
        about: Further facts.
    """
    metric = str(content["metric"])
    sections = [
        Section("Summary", (_summary(content),)),
        Section("Best trial", _best(content)),
        Section("Confirmation on new seeds", _confirmation(content)),
        Section("Plots", _plots(pictures, metric, str(content.get("without_importances") or ""))),
        Section("Trials", (_trials(content, columns, rows),)),
        Section("Search space", (html_table("Searched keys.", ["key", "values"], list(content["space"].items())),)),
        Section("Settings", (definition_list({k: "-" if v is None else v for k, v in content["settings"].items()}),)),
        Section("Next steps", _how_to(content, about)),
        Section("Versions", (definition_list(about.versions),)),
    ]
    return page(f"Study {content['study']}", _lead(content), sections, f"Written by dlexp tune in {about.place}.")


def _lead(content: Mapping[str, Any]) -> str:
    """The result in a sentence."""
    best, metric = content["best"], content["metric"]
    if best is None:
        return f"No trial has a result: {content['reason']}."
    text = f"Best: trial {best['trial']} with {metric} {number(metric, best['value'])}"
    return f"{text}; {content['confirmation']['text']}." if content["confirmation"] else f"{text}, not confirmed."


def _summary(content: Mapping[str, Any]) -> Html:
    metric, best = str(content["metric"]), content["best"]
    counts = ", ".join(f"{count} {state}" for state, count in content["trials"].items())
    return definition_list(
        {
            "metric": metric,
            "direction": content["direction"],
            "best": "-" if best is None else f"{number(metric, best['value'])} (trial {best['trial']})",
            "baseline": number(metric, content["baseline"]),
            "trials": counts or "none",
            "epochs saved by pruning": f"{content['epochs_saved_by_pruning']:,}",
            "end": content["reason"],
        }
    )


def _best(content: Mapping[str, Any]) -> tuple[Html, ...]:
    best = content["best"]
    if best is None:
        return ()
    text = f"Trial {best['trial']}, in {best['folder']}; best.yaml is its complete configuration."
    return (
        html_table(text, ["parameter", "value"], [[key, _written(value)] for key, value in best["params"].items()]),
    )


def _written(value: Any) -> object:
    """A value in YAML notation; numbers and texts unchanged."""
    return {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else value


def _confirmation(content: Mapping[str, Any]) -> tuple[Html, ...]:
    verdict, metric = content["confirmation"], str(content["metric"])
    if verdict is None:
        return (paragraph("The best trial was not trained again: its value is biased, since it was selected by it."),)
    if not verdict["rows"]:
        return (paragraph(_as_sentence(verdict["text"])),)
    rows = [
        [name, *(number(metric, row[key]) for key in ("mean", "std")), row["n"], _listed(metric, row["values"])]
        for name, row in verdict["rows"].items()
    ]
    caption = f"{metric} on seeds that the search did not use."
    columns = ["configuration", "mean", "std", "n", "values"]
    return paragraph(_as_sentence(verdict["text"])), html_table(caption, columns, rows, numbers=frozenset(columns[1:4]))


def _as_sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _listed(metric: str, values: Sequence[float]) -> str:
    return ", ".join(number(metric, value) for value in values)


def _plots(pictures: Mapping[str, bytes], metric: str, without_importances: str) -> tuple[Html, ...]:
    if not pictures:
        return (paragraph("There are no plots yet: they are drawn when the search ends, from complete trials."),)
    found = [_picture(name, pictures[name], metric) for name in PICTURES if name in pictures]
    if without_importances:
        found.append(paragraph(without_importances))
    return tuple(found)


def _picture(name: str, png: bytes, metric: str) -> Html:
    shows, note = PICTURES[name]
    text = shows.format(metric=metric)
    return picture(png, text, f"{text}. {note}")


def _trials(content: Mapping[str, Any], columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Html:
    metric, best = str(content["metric"]), content["best"]
    place = next((at for at, row in enumerate(rows) if best is not None and row[0] == best["trial"]), None)
    shown = [metric if column == "value" else column for column in columns]
    cells = [[_cell(name, metric, value) for name, value in zip(columns, row, strict=True)] for row in rows]
    numeric = [name for at, name in enumerate(shown) if _are_numbers([row[at] for row in rows])]
    caption = "All trials, the best highlighted. Click a heading to sort."
    return html_table(caption, shown, cells, numbers=frozenset(numeric), sortable=True, marked=place)


def _are_numbers(values: Sequence[Any]) -> bool:
    """Return whether all values are numbers or missing, with at least one number."""
    found = [value for value in values if value is not None]
    return bool(found) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in found)


def _cell(column: str, metric: str, value: Any) -> object:
    if not isinstance(value, float):
        return value
    if column == "value":
        return Cell(number(metric, value), value)
    return Cell(f"{value:.1f}" if column == "seconds" else f"{value:.4g}", value)


def _how_to(content: Mapping[str, Any], about: StudyContext) -> tuple[Html, ...]:
    parts = []
    if content["best"] is not None:
        parts += [paragraph("Train the best configuration:"), code(command("train", "--from", Path(about.place)))]
    if about.command:
        parts += [
            paragraph("Continue the search with a larger -n, or repeat it with another --name:"),
            code(about.command),
        ]
    return (
        *parts,
        paragraph("base.yaml is the baseline configuration; trials.csv has the table with all digits."),
    )
