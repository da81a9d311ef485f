"""Every page that dlexp writes, in a real browser: no error, nothing cut off or unreadable, at two widths."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from browser import Browser, browser, browser_found
from matplotlib.backends.backend_agg import FigureCanvasAgg

from dlexp.cli.app import main

pytestmark = pytest.mark.skipif(browser_found() is None, reason="no Chromium or Chrome")

WIDTHS, SCHEMES = (390, 1280), ("light", "dark")
TRAIN = "train -q model=mlp model.hidden=[8] trainer.epochs=2"


@pytest.fixture(autouse=True)
def blank(unrendered: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures have their size, which decides where a page is cut off, but nothing is drawn."""

    def blank_pixels(canvas: FigureCanvasAgg) -> npt.NDArray[np.uint8]:
        width, height = canvas.figure.get_size_inches() * canvas.figure.dpi
        return np.full((round(height), round(width), 4), 255, np.uint8)

    monkeypatch.setattr(FigureCanvasAgg, "buffer_rgba", blank_pixels)


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all pages."""
    path = browser_found()
    assert path is not None
    with browser(path, tmp_path_factory.mktemp("profile")) as found:
        yield found


def run(*lines: str) -> None:
    for line in lines:
        with pytest.raises(SystemExit) as ended:
            main(shlex.split(line))
        assert ended.value.code in (0, None), line


def assert_readable(window: Browser, page: Path) -> None:
    window.load(page)
    for width in WIDTHS:
        for scheme in SCHEMES:
            window.resize(width, scheme)
            assert window.problems() == [], f"{page.name} at {width} pixels, {scheme}"


def right_end(window: Browser, page: Path, selector: str) -> float:
    """The right end of the widest of these elements at 390 pixels, within what is seen without scrolling."""
    window.load(page)
    window.resize(390, "light")
    script = f"Math.max(...[...document.querySelectorAll('{selector}')].map(e => e.getBoundingClientRect().right))"
    return float(window.value(script))


def test_a_phone_shows_intervals_and_curves_without_scrolling(window: Browser) -> None:
    run(f"{TRAIN} data=iris --run-dir phone", "evaluate phone -q", "report phone")
    page = Path("phone/report.html")
    assert right_end(window, page, "dl + .wide td.number") <= 390
    assert right_end(window, page, "figure picture img") <= 390
    sizes = window.value("(i => [i.naturalWidth, i.naturalHeight])(document.querySelector('figure picture img'))")
    assert sizes[1] > 3 * sizes[0]  # panels on top of each other
    window.resize(1280, "light")
    sizes = window.value("(i => [i.naturalWidth, i.naturalHeight])(document.querySelector('figure picture img'))")
    assert sizes[0] > sizes[1]


def test_a_wide_table_scrolls_alone(window: Browser) -> None:
    run(f"{TRAIN} -m data=iris optim.lr=0.1,0.01 --run-dir sweep", "report sweep --out sweep.html")
    assert_readable(window, Path("sweep.html"))
    window.resize(390, "light")
    assert window.value("document.documentElement.scrollWidth") <= 390


def test_run_of_images(window: Browser) -> None:
    run(f"{TRAIN} --run-dir one", "evaluate one --split val", "report one")
    assert_readable(window, Path("one/report.html"))


def test_run_of_a_generative_model(window: Browser) -> None:
    run("train -q model=vae data=iris model.hidden=[8] model.latent=2 trainer.epochs=2 --run-dir one", "sample one -q")
    run("evaluate one --samples 0 -q", "report one")
    assert_readable(window, Path("one/report.html"))
    window.resize(390, "light")
    names = "[...document.querySelectorAll('tbody th span')].map(e => [e.textContent, e.getClientRects().length])"
    lines = dict(window.value(names))
    assert lines["reconstruction"] == 1 and set(lines.values()) == {1}  # no word is broken
    script = "document.querySelectorAll('section img[src^=\"data:image/gif\"]').length"
    assert window.value(script) == 1


def test_run_of_a_table(window: Browser) -> None:
    run("train -q experiment=diabetes_mlp trainer.epochs=2 --run-dir two", "evaluate two", "report two")
    assert_readable(window, Path("two/report.html"))


def test_findings_of_the_doctor(window: Browser) -> None:
    run(f"{TRAIN} --run-dir one")
    evidence = {"measure": "largest change of model.11.weight in an update", "value": 3.2e5, "limit": 0.03}
    long = f"dlexp train --from {'outputs/train/20261130-130806-mlp-digits-0d9c' * 2} 'model.hidden=[2048,1024]'"
    found: dict[str, object] = {
        "code": "rate_too_high",
        "severity": "error",
        "what": "The rate is too high. " * 9,
        "evidence": [evidence],
    }
    found |= {"line": long, "cause": "Updates are large.", "confidence": 0.9, "layer": "model.11.weight", "epoch": 2}
    measures = {"agreement of the gradients": 0.2}
    content = {"findings": [found, found], "measures": measures, "notes": ["the initial weights are gone"]}
    Path("one/doctor.json").write_text(json.dumps(content))
    Path("one/doctor.jsonl").write_text(json.dumps(found) + "\n")
    run("report one")
    assert "rate_too_high" in Path("one/report.html").read_text()
    assert_readable(window, Path("one/report.html"))


SEQUENCES = {
    "forecast": "data=sunspots model=mlp model.hidden=[8] loss=quantile",
    "language-model": "data=corpus data.path=book.txt data.window=16 data.batch_size=8 model=gru model.units=8",
    "tags": "data=entities data.num_samples=60 model=lstm model.units=8 task.crf=true",
    "translation": "data=dates data.num_samples=60 model=seq2seq_lstm model.units=8",
    "recognition": "data=tones data.num_samples=40 model=gru model.units=8",
}


@pytest.mark.parametrize("kind", SEQUENCES)
def test_run_of_sequences(window: Browser, kind: str) -> None:
    Path("book.txt").write_text("\n".join(f"line {number:03d} of a <b>text</b> & more" for number in range(90)))
    run(f"train -q {SEQUENCES[kind]} trainer.epochs=1 --run-dir one", "evaluate one -q", "report one")
    assert_readable(window, Path("one/report.html"))


def test_several_runs(window: Browser) -> None:
    run(f"{TRAIN} --seeds 2 --run-id one data=iris trainer.test=true", f"{TRAIN} --run-dir two data=wine")
    run(f"{TRAIN} --run-dir three data=iris optim=sgd trainer.test=true")
    run("report outputs/train/one three --out paired.html", "report outputs/train/one two --out unpaired.html")
    assert_readable(window, Path("paired.html"))
    assert_readable(window, Path("unpaired.html"))


def test_study(window: Browser) -> None:
    run("tune -q -n 2 --name study data=iris trainer.epochs=2 search.confirm_seeds=2")
    assert_readable(window, Path("outputs/tune/study/report.html"))


def test_what_the_checks_find(window: Browser, tmp_path: Path) -> None:
    """A page with each fault: the checks see all of them."""
    page = tmp_path / "bad.html"
    page.write_text(
        '<!DOCTYPE html><meta name="viewport" content="width=device-width"><p style="width: 2000px">wide</p>'
        '<div style="overflow: hidden; width: 50px"><p style="width: 90px">cut</p></div>'
        '<p style="color: #ccc; background: #fff">pale</p>'
        '<img alt="none" width=9 height=9 src="data:image/png;base64,AA">'
        "<script>nothing()</script>",
        encoding="utf-8",
    )
    window.load(page)
    window.resize(390, "light")
    found = "\n".join(window.problems())
    for part in ("nothing is not defined", "pixels wide", "is cut off", "contrast", "has no picture"):
        assert part in found, found
