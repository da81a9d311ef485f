"""The section of a run's page about the findings of `dlexp doctor`: evidence, causes, and lines to copy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dlexp.report.number_format import number
from dlexp.report.pages.html import (
    Html,
    Section,
    bullet_list,
    code,
    definition_list,
    folded,
    html_table,
    inline_code,
    paragraph,
    picture,
    sentence,
)
from dlexp.report.pages.run_contents import RunStory
from dlexp.text.quoting import command
from dlexp.text.time_format import readable

_SEVERITIES = {"error": "Error", "warning": "Warning", "note": "Note"}


def diagnosis_section(story: RunStory) -> Section:
    """The findings of doctor.json; the command for a run with epochs that nobody examined."""
    content, watched = story.diagnosis, _watched(story)
    if not content:
        if not story.rows:
            return Section("Diagnosis", watched)
        text = "This run was not examined. See what is wrong with it, how that is known, and what mends it, with:"
        return Section("Diagnosis", (*watched, paragraph(text), code(command("doctor", Path(story.place)))))
    findings = [each for each in content.get("findings", ()) if isinstance(each, Mapping)]
    parts = [*watched, *([part for finding in findings for part in _finding(finding)] or [_nothing(content)])]
    if findings and "suspected_labels" in story.pictures:
        text = "Samples whose labels are probably wrong: the given class, and the one that all other samples suggest."
        parts.append(picture(story.pictures["suspected_labels"], text, text))
    measures = content.get("measures")
    if isinstance(measures, Mapping) and measures:
        rows = [[str(name), number("", value)] for name, value in measures.items()]
        table = html_table("What was measured.", ["measure", "value"], rows, numbers=frozenset(["value"]))
        parts.append(folded(f"{len(rows)} measures", table))
    notes = [str(note) for note in content.get("notes") or ()]
    if notes:
        parts.append(bullet_list(notes))
    return Section("Diagnosis", tuple(parts))


def _watched(story: RunStory) -> tuple[Html, ...]:
    """What trainer.doctor found while the run trained."""
    rows = [[event["code"], event.get("epoch"), event["what"]] for event in story.watched]
    if not rows:
        return ()
    return (html_table("Found while it trained.", ["finding", "epoch", "what"], rows, numbers=frozenset(["epoch"])),)


def _nothing(content: Mapping[str, Any]) -> Html:
    when = readable(content["examined"]) if content.get("examined") else "an unknown time"
    return paragraph(f"Nothing was found when this run was examined ({when}, {content.get('rules', '?')} rules).")


def _finding(finding: Mapping[str, Any]) -> Iterator[Html]:
    where = [str(finding["layer"])] if finding.get("layer") else []
    where += [f"epoch {finding['epoch']}"] if finding.get("epoch") is not None else []
    place = f" ({', '.join(where)})" if where else ""
    severity = _SEVERITIES.get(str(finding["severity"]), str(finding["severity"]))
    text = f"{place}: {finding['what']}"
    yield paragraph(sentence(f"{severity}, ", inline_code(str(finding["code"])), text))
    rows = [
        [
            str(one["measure"]) + (", found by a trial" if one.get("is_trial") else ""),
            number("", one.get("value")),
            "" if one.get("limit") is None else f"{one.get('side', 'above')} {number('', one['limit'])}",
        ]
        for one in finding["evidence"]
    ]
    if rows:
        columns = ["evidence", "value", "a fault if"]
        yield html_table(f"Evidence of {finding['code']}.", columns, rows, numbers=frozenset(columns[1:]))
    if finding.get("line"):
        yield code(str(finding["line"]))
    facts = {
        "cause": finding.get("cause"),
        "what to do": finding.get("action"),
        "confidence": number("", finding.get("confidence")),
        "source": finding.get("source"),
    }
    yield definition_list({name: value for name, value in facts.items() if value})
