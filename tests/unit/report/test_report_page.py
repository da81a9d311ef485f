"""A page that stands alone, is HTML, and in which no text that it shows can do anything."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from dlexp.report.pages.html import Cell, Section, code, definition_list, html_table, page, paragraph, picture
from dlexp.report.pages.study import StudyContext, study_page

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&{metric}"
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Document(HTMLParser):
    """What a browser would make of a page: its elements with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.inline: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_decl(self, decl: str) -> None:
        assert decl == "DOCTYPE html"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), f"an attribute twice: {attrs}"
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("script", "style"):
            self.inline[self._open[-1]] = data
        elif data.strip():
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def assert_inert(document: Document) -> None:
    """One script, our own; nothing that runs or loads from elsewhere."""
    assert len(document.all("script")) == 1
    for tag, attributes in document.elements:
        assert tag not in ("iframe", "object", "embed", "link", "base", "form")
        assert not [name for name in attributes if name.startswith("on")]
        assert str(attributes.get("href", "#")).startswith("#")
        assert (attributes.get("src") or "data:image/png;base64,").startswith("data:image/png;base64,")


def content(**changes: Any) -> dict[str, Any]:
    """A study.json."""
    found = {
        "study": "s1",
        "metric": "val/accuracy",
        "direction": "maximize",
        "settings": {"sampler": "tpe", "hours": None},
        "space": {"optim.lr": "0.1 to 1"},
        "trials": {"complete": 1, "failed": 1},
        "epochs_saved_by_pruning": 1234,
        "baseline": 0.5,
        "best": {"trial": 7, "value": 0.975, "params": {"optim.lr": 0.25}, "folder": "trials/0007"},
        "reason": "2 trials done",
        "confirmation": {
            "rows": {
                "baseline": {"values": [0.5, 0.7], "mean": 0.6, "std": 0.1, "n": 2},
                "trial 7": {"values": [], "mean": None, "std": None, "n": 0},
            },
            "winner": "baseline",
            "text": "not enough runs finished to compare",
        },
    }
    return found | changes


COLUMNS = ["trial", "state", "value", "epochs", "seconds", "folder", "reason", "optim.lr", "model.name"]
ROWS = [
    [3, "failed", None, 0, None, "trials/0003", "oom", 0.5, "a"],
    [7, "complete", 0.975, 3, 1.26, "trials/0007", None, 0.25, None],
]
ABOUT = StudyContext("outputs/tune/s1", "dlexp tune -n 2 --name s1", {"torch": "2.12"})


def made(**changes: Any) -> tuple[str, Document]:
    text = study_page(content(**changes), COLUMNS, ROWS, {"slices": b"S", "history": b"H"}, ABOUT)
    return text, Document(text)


def test_a_page_is_a_whole_document_with_headings_in_order() -> None:
    text, document = made()
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert {"charset": "utf-8"} in document.all("meta")
    assert any(meta.get("name") == "viewport" for meta in document.all("meta"))
    headings = [tag for tag, _ in document.elements if re.fullmatch("h[1-6]", tag)]
    assert headings == ["h1"] + ["h2"] * 9
    assert len(document.all("main")) == len(document.all("header")) == len(document.all("footer")) == 1
    assert "prefers-color-scheme: dark" in document.inline["style"]
    assert_inert(document)


def test_the_browser_is_told_to_run_nothing_else() -> None:
    _, document = made()
    (policy,) = (meta["content"] for meta in document.all("meta") if "http-equiv" in meta)
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; ")
    for tag, inline in document.inline.items():
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert set(document.inline) == {"style", "script"}
    assert "unsafe" not in policy


def test_the_study_is_told_in_full() -> None:
    text, document = made()
    page_text = " ".join(document.text)
    for part in (
        "Study s1", "Best: trial 7 with val/accuracy 97.50 %", "not enough runs finished to compare", "maximize",
        "50.00 %", "1 complete, 1 failed", "1,234", "2 trials done", "0.25", "dlexp train --from outputs/tune/s1",
        "dlexp tune -n 2 --name s1", "torch", "2.12", "0.1 to 1", "50.00 %, 70.00 %", "oom", "trials/0003",
    ):  # fmt: skip
        assert part in page_text, part
    pictures = [image["src"] for image in document.all("img")]
    assert pictures == [f"data:image/png;base64,{base64.b64encode(png).decode()}" for png in (b"H", b"S")]
    assert all("val/accuracy" in str(image["alt"]) for image in document.all("img"))
    (marked,) = [line for line in text.splitlines() if 'class="marked"' in line]
    assert marked.startswith('<tr class="marked"><th scope="row" class="number">7</th><td>complete</td>')
    assert 'data-value="0.975">97.50 %' in marked
    assert "None" not in page_text


def test_a_study_without_a_result_says_so() -> None:
    _, document = made(best=None, confirmation=None, reason="3 trials failed in a row", trials={})
    text = " ".join(document.text)
    assert "3 trials failed in a row." in text
    assert "dlexp train" not in text
    assert [attributes for attributes in document.all("tr") if attributes.get("class") == "marked"] == []


def test_a_winner_that_was_not_trained_again_is_called_so() -> None:
    _, document = made(confirmation=None)
    assert "not confirmed" in " ".join(document.text)


def test_no_text_can_become_markup() -> None:
    changes = content(
        study=EVIL,
        metric=EVIL,
        direction=EVIL,
        reason=EVIL,
        settings={EVIL: EVIL},
        space={EVIL: EVIL},
        trials={EVIL: 1},
        best={"trial": 7, "value": 1.0, "params": {EVIL: EVIL}, "folder": EVIL},
        confirmation={"rows": {EVIL: {"values": [1.0], "mean": 1.0, "std": None, "n": 1}}, "winner": "", "text": EVIL},
    )
    rows = [[7, EVIL, 1.0, 1, 1.0, EVIL, EVIL, 0.5, EVIL]]
    text = study_page(changes, [*COLUMNS[:-1], EVIL], rows, {"history": b""}, StudyContext(EVIL, EVIL, {EVIL: EVIL}))
    document = Document(text)
    assert_inert(document)
    assert len(document.all("img")) == 1
    assert text.count("<script") == 1
    assert sum(EVIL in part for part in document.text) >= 17  # it is all there to be read
    assert EVIL in str(document.all("img")[0]["alt"])


def test_every_part_escapes_what_it_is_given() -> None:
    parts = (
        paragraph(EVIL),
        definition_list({EVIL: EVIL}),
        code(EVIL),
        picture(b"", EVIL, EVIL),
        html_table(EVIL, [EVIL], [[EVIL], [Cell(EVIL, EVIL)]], numbers=frozenset([EVIL]), sortable=True, marked=0),
    )
    document = Document(page(EVIL, EVIL, [Section(EVIL, parts)], EVIL))
    assert_inert(document)
    assert len(document.all("img")) == 1
    assert sum(EVIL in part for part in document.text) == 15  # the heading stands in the table of contents too
    assert [cell["data-value"] for cell in document.all("th") if "data-value" in cell] == [EVIL]


@pytest.mark.parametrize(("value", "shown"), [(None, ""), (0, "0"), (True, "True"), (1.5, "1.5"), ("x", "x")])
def test_a_cell_shows_plain_values(value: object, shown: str) -> None:
    assert f"<td>{shown}</td></tr>" in html_table("c", ["name", "value"], [["a", value]])


def test_a_section_without_parts_has_no_heading() -> None:
    assert "<h2>" not in page("t", "l", [Section("Empty", ())], "f")
