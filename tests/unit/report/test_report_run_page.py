"""The page of a run and of several runs: readable by a machine for those who do not see it, inert, complete."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from test_report_page import EVIL, Document, assert_inert

from dlexp.report.pages.html import _STYLE, picture
from dlexp.report.pages.run import run_page
from dlexp.report.pages.run_contents import Configuration, Evaluated, RunStory
from dlexp.report.pages.runs import runs_page

pytestmark = pytest.mark.pictures

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8) + (500).to_bytes(4, "big") + (300).to_bytes(4, "big")
COLUMNS = ["epoch", "step", "lr", "train/loss", "val/loss", "val/accuracy"]


def rows(*losses: tuple[float, float]) -> list[dict[str, str]]:
    """A row an epoch, from (training loss, validation loss)."""
    return [
        {
            "epoch": f"{n}",
            "step": f"{9 * n}",
            "lr": "0.1",
            "train/loss": f"{a}",
            "val/loss": f"{b}",
            "val/accuracy": ".9",
        }
        for n, (a, b) in enumerate(losses, start=1)
    ]


def story(**changes: Any) -> RunStory:
    report = {
        "samples": 1234,
        "checkpoint": "best",
        "metrics": {"loss": 0.25, "accuracy": 0.8125},
        "macro": {"f1": 0.7},
        "split_accesses": 3,
        "evaluated": "2026-01-02T03:04:05+00:00",
        "tables": {"per_class": {"caption": "Each class of the test split.", "labels": ["class"]}},
        "figures": {"confusion": "Confusion matrix of the test split.", "predicted-1": "Values of test. Target 2."},
    }
    found = RunStory(
        name="r1",
        place="outputs/train/r 1",
        status={"state": "finished", "epoch": 3, "epochs": 3, "reason": ""},
        summary={
            "monitor": "val/loss", "best_epoch": 2, "best": {"loss": 0.5, "accuracy": 0.875}, "epochs": 3,
            "reason": "all 3 epochs done", "seconds": 75.0, "skipped_updates": 2, "rollbacks": 1,
        },
        meta={
            "model": "mlp", "parameters": 168714, "data": "digits", "samples": {"train": 1259, "test": 359}, "seed": 42,
            "dirty": True, "commit": "5d78330", "torch": "2.15", "notes": ["one class has 2 samples"], "gpu": None,
            "settings": {"threads": {"value": "1", "reason": "a small network", "override": "trainer.threads"}},
            "changed": [{"path": "trainer.epochs", "before": 2, "after": 3, "time": "later"}],
        },
        command="dlexp train trainer.epochs=3",
        configuration=Configuration(
            [("optim", "adamw", "sgd")], [("optim.lr", "0.05", "0.3")], [("optim.lr", "0.3"), ("seed", "42")]
        ),
        columns=COLUMNS,
        rows=rows((1.0, 0.8), (0.5, 0.5), (0.2, 0.9)),
        pictures={"curves": PNG, "lr_find": PNG},
        evaluated=(
            Evaluated(
                "test",
                report,
                {"per_class": (["class", "f1", "support"], [["cat", "0.5", "10"], ["dog", "0.25", "9"]])},
                {"confusion": PNG, "zebra": PNG, "predicted-1": PNG},
            ),
        ),
        files=[("config.yaml", 2121), ("metrics.csv", 4000)],
        packages=["numpy==2.0", "torch==2.15"],
        problems=["train.log cannot be read"],
    )  # fmt: skip
    return replace(found, **changes)


def headings_and_landmarks(document: Document) -> None:
    """What a screen reader walks along."""
    levels = [int(tag[1]) for tag, _ in document.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    for landmark in ("header", "nav", "main", "footer"):
        assert len(document.all(landmark)) == 1
    names = [str(attributes["id"]) for _, attributes in document.elements if "id" in attributes]
    assert len(names) == len(set(names))
    links = [str(attributes["href"]) for attributes in document.all("a")]
    assert links[0] == "#content"
    assert {link.removeprefix("#") for link in links} <= set(names)
    assert all(attributes["aria-labelledby"] in names for attributes in document.all("section"))


def tables_and_pictures(document: Document) -> None:
    assert all(attributes.get("scope") in ("col", "row") for attributes in document.all("th"))
    assert len(document.all("caption")) == len(document.all("table"))
    assert all(len(str(image.get("alt") or "")) > 20 for image in document.all("img"))
    scrolled = [attributes for attributes in document.all("div") if attributes.get("class") == "wide"]
    assert all(a["tabindex"] == "0" and a["role"] == "region" and a["aria-label"] for a in scrolled)
    assert len(scrolled) == len(document.all("table")) + len(document.all("figure"))


def text_of(document: Document) -> str:
    return " ".join(part.strip() for part in document.text)


def test_the_page_of_a_run_tells_everything() -> None:
    document = Document(run_page(story(), "1.2"))
    assert_inert(document)
    headings_and_landmarks(document)
    tables_and_pictures(document)
    text = text_of(document)
    for part in (
        "Run r1", "Finished, 3 of 3 epochs. val/loss 0.5 in the best epoch, 2, as decided on the validation split.",
        "The same weights have: val/accuracy 87.50 %,", "test/accuracy 81.25 %.",
        "mlp, 168,714 parameters", "1,259 train, 359 test", "1:15", "all 3 epochs done", "trainer.threads",
        "2 updates skipped, 1 epoch rolled back", "one class has 2 samples", "train.log cannot be read",
        "val/loss rose from 0.5 in epoch 2 to 0.9 in epoch 3, while train/loss fell from 0.5 to 0.2",
        "3 times", "git.diff", "trainer.epochs has changed: 2 -> 3 (later)",
        "Evaluation on the test split", "1,234", "dog", "25.00 %", "adamw", "sgd", "0.05", "0.3",
        "dlexp train trainer.epochs=3",
        "dlexp train --from 'outputs/train/r 1'", "5d78330", "numpy==2.0", "config.yaml", "2,121", "6,121 bytes",
        "zebra.png, a picture of the test split", "Target 2.", "Each class of the test split.",
    ):  # fmt: skip
        assert part in text, part
    for part in ("None", "nan", "were not evaluated", "No split was evaluated", "gpu"):
        assert part not in text, part
    alternatives = [str(image["alt"]) for image in document.all("img")]
    assert "train/loss goes from 1 in epoch 1 to 0.2 in 3" in alternatives[0]
    (marked,) = [line for line in run_page(story(), "1").splitlines() if 'class="marked"' in line]
    assert '<th scope="row" class="number">2</th>' in marked


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"summary": {}, "meta": {}, "evaluated": (), "rows": [], "columns": [], "pictures": {}, "files": []},
         ["no results yet", "No epoch has finished", "nothing was evaluated", "meta.json"]),
        ({"evaluated": ()}, ["No split was evaluated", "dlexp evaluate 'outputs/train/r 1'"]),
        ({"status": {"state": "failed", "epoch": 1, "epochs": 3, "reason": "out of memory"}, "summary": {}},
         ["Failed, 1 of 3 epochs.", "out of memory", "dlexp train --resume 'outputs/train/r 1'"]),
        ({"status": {"state": "running", "epoch": 1, "epochs": 3, "reason": ""}}, ["still running, in epoch 1 of 3"]),
        ({"configuration": Configuration(unknown="nobody knows")}, ["nobody knows"]),
        ({"configuration": Configuration()}, ["default configuration"]),
        ({"summary": {"best_epoch": 3, "epochs": 3}}, ["The best epoch is the last of 3"]),
        ({"evaluated": (Evaluated("val", {}, {}, {}),)}, ["Evaluation on the val split", "eval/val/"]),
        ({"evaluated": (Evaluated("test", {"metrics": {"r2": None, "mae": float("inf")}}, {}, {}),)}, ["r2", "inf"]),
    ],
)  # fmt: skip
def test_what_is_missing_is_said_with_the_line_that_makes_it(changes: dict[str, Any], parts: list[str]) -> None:
    document = Document(run_page(story(**changes), "1"))
    assert_inert(document)
    headings_and_landmarks(document)
    tables_and_pictures(document)
    for part in parts:
        assert part in text_of(document), part


def test_a_loss_that_keeps_falling_is_no_reason_to_speak() -> None:
    document = Document(run_page(story(rows=rows((1.0, 0.8), (0.5, 0.5), (0.2, 0.51))), "1"))
    assert "rose" not in text_of(document)


def test_no_text_of_a_run_becomes_markup() -> None:
    evil = Evaluated(EVIL, {"metrics": {EVIL: 1.0}, "macro": {EVIL: EVIL}, "checkpoint": EVIL, "evaluated": EVIL},
                     {"per_class": ([EVIL, EVIL], [[EVIL, EVIL]])}, {EVIL: PNG})  # fmt: skip
    document = Document(
        run_page(
            story(
                name=EVIL, place=EVIL, command=EVIL, columns=["epoch", EVIL], rows=[{"epoch": "1", EVIL: EVIL}],
                status={"state": "failed", "epoch": EVIL, "epochs": EVIL, "reason": EVIL},
                summary={"monitor": EVIL, "best": {EVIL: 1.0}, "reason": EVIL},
                meta={"model": EVIL, "data": EVIL, "notes": [EVIL], "torch": EVIL, "seed": EVIL,
                      "settings": {EVIL: {"value": EVIL}},
                      "changed": [{"path": EVIL, "before": EVIL, "after": EVIL}]},
                configuration=Configuration([(EVIL,) * 3], [(EVIL,) * 3], [(EVIL, EVIL)], EVIL),
                evaluated=(evil,), files=[(EVIL, 1)], packages=[EVIL], problems=[EVIL],
            ),
            EVIL,
        )
    )  # fmt: skip
    assert_inert(document)
    headings_and_landmarks(document)
    assert sum(EVIL in part for part in document.text) > 30


def test_many_epochs_are_thinned_out_and_the_best_and_the_last_stay() -> None:
    page = run_page(story(rows=rows(*[(1 / n, 1 / n) for n in range(1, 778)])), "1")
    shown = [int(found) for found in re.findall(r'<th scope="row" class="number">(\d+)</th>', page)]
    assert 90 <= len(shown) <= 102
    assert {1, 2, 777} <= set(shown)


def test_several_runs_are_told_with_the_words_of_the_comparison() -> None:
    spread = {"mean": 0.9, "std": 0.01, "n": 2}
    content = {
        "groups": [
            {"label": label, "runs": ["a", "b"], "seeds": [1, 2],
             "metrics": {"test/accuracy": spread, "parameters": spread}}
            for label in (EVIL, "cnn")
        ],
        "settings": [{"key": "model", "values": [EVIL, "cnn"]}],
        "metric": "test/accuracy", "maximize": True, "samples": 359, "unpaired": EVIL, "notes": [EVIL],
        "pairs": [{"first": EVIL, "second": "cnn", "verdict": "b is better", "mcnemar":
                   {"only_first": 3, "only_second": 14, "p_value": 0.01273}}],
        "verdict": "cnn is better",
    }  # fmt: skip
    runs = [
        {"directory": f"outputs/train/{name}", "group": EVIL, "seed": 1, "state": EVIL, "epoch": 3, "epochs": 3,
         "metrics": found}
        for name, found in (("a", {"val/loss": 0.5}), (EVIL, {"test/accuracy": 0.91}))
    ]  # fmt: skip
    document = Document(runs_page(content, PNG, runs, "1"))
    assert_inert(document)
    headings_and_landmarks(document)
    tables_and_pictures(document)
    text = text_of(document)
    for part in (
        "Comparison of 2 runs, 2 configurations", "cnn is better.", "90.00 % ± 1.00 %",
        "3 against 14 samples, p = 0.0127",
        "91.00 %", "They are in outputs/train.", "dlexp compare outputs/train/a '",
    ):  # fmt: skip
        assert part in text, part


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2.2, section 1.4.3: (L1 + 0.05) / (L2 + 0.05) of relative luminances."""

    def luminance(color: str) -> float:
        digits = color.removeprefix("#")
        digits = "".join(2 * c for c in digits) if len(digits) == 3 else digits
        parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_stands_out_in_light_in_dark_and_on_paper() -> None:
    assert contrast("#000", "#fff") == pytest.approx(21)
    schemes = [dict(re.findall(r"--(\w+): (#\w+)", block)) for block in re.findall(r":root \{([^}]*)\}", _STYLE)]
    assert len(schemes) == 3
    for scheme in schemes:
        for text in ("ink", "dim", "mark", "link"):
            for ground in ("paper", "soft"):
                assert contrast(scheme[text], scheme[ground]) >= 4.5, (text, ground, scheme)


def test_a_broad_picture_is_not_made_as_narrow_as_the_page() -> None:
    broad = PNG[:16] + (2400).to_bytes(4, "big") + PNG[20:]
    assert 'class="broad"' in picture(broad, "a", "b")
    assert 'class="broad"' not in picture(PNG, "a", "b")
    assert base64.b64encode(broad).decode() in picture(broad, "a", "b")
