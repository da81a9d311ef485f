"""The section of a run's page about the doctor: evidence with limits, lines to copy, and text that can do nothing."""

from __future__ import annotations

from typing import Any

import pytest
from test_report_page import EVIL, Document, assert_inert
from test_report_run_page import rows, story

from dlexp.report.pages.run import run_page

pytestmark = pytest.mark.pictures


def finding(**changes: Any) -> dict[str, Any]:
    evidence = {"measure": "loss by that of chance", "value": 3.25, "limit": 2.0, "side": "above", "is_trial": False}
    trial = {"measure": "loss with a tenth", "value": None, "limit": 0.9, "side": "below", "is_trial": True}
    found = {
        "code": "rate_too_high", "severity": "error", "what": "The rate is too high.", "evidence": [evidence, trial],
        "cause": "Updates are large.", "remedy": ["optim.lr=1"], "line": "dlexp train --from 'outputs/a b' optim.lr=1",
        "action": "", "confidence": 0.8, "layer": "net.1", "epoch": 3, "source": "",
    }  # fmt: skip
    return {**found, **changes}


def test_findings_have_their_numbers_limits_and_lines() -> None:
    content = {"findings": [finding()], "measures": {"dead units, share": 0.125}, "notes": ["weights are gone"]}
    document = Document(run_page(story(diagnosis=content), "0.1.0"))
    assert_inert(document)
    text = " ".join(document.text)
    for word in ("Diagnosis", "rate_too_high", "net.1, epoch 3", "3.25", "above 2", "below 0.9", "found by a trial"):
        assert word in text, word
    assert "dlexp train --from 'outputs/a b' optim.lr=1" in document.text
    assert "0.125" in text and "weights are gone" in text and "Updates are large." in text


def test_nothing_that_a_finding_says_can_run() -> None:
    evil = finding(code=EVIL, what=EVIL, cause=EVIL, line=EVIL, layer=EVIL, source=EVIL)
    evil["evidence"][0]["measure"] = EVIL
    content = {"findings": [evil], "measures": {EVIL: 1.0}, "notes": [EVIL]}
    watched = [{"code": EVIL, "what": EVIL, "epoch": 2}]
    assert_inert(Document(run_page(story(diagnosis=content, watched=watched), "0.1.0")))


def test_an_examined_run_without_findings_says_so_and_others_have_the_command() -> None:
    content = {"findings": [], "examined": "2026-01-02T03:04:05+00:00", "rules": 24}
    assert "Nothing was found" in " ".join(Document(run_page(story(diagnosis=content), "0.1.0")).text)
    text = Document(run_page(story(rows=rows((1.0, 1.0))), "0.1.0")).text
    assert "dlexp doctor 'outputs/train/r 1'" in text


def test_what_was_found_while_it_trained_is_a_table() -> None:
    watched = [{"code": "plateau", "what": "It has learned nothing.", "epoch": 5}]
    text = " ".join(Document(run_page(story(watched=watched), "0.1.0")).text)
    assert "Found while it trained." in text and "plateau" in text and "It has learned nothing." in text
