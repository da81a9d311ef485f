"""`dlexp report` on real runs: finished, cut off, damaged, of classes and of values, several, and a study."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest
from refusals import line_refused

from dlexp.cli.app import main

pytestmark = pytest.mark.pictures

MAX_BYTES = 2_000_000
EVIL = "<script>alert(1)</script>"


class Page(HTMLParser):
    """The words of a page, its pictures' alternatives, and whatever it would load."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.words: list[str] = []
        self.pictures: list[str] = []
        self.scripts = 0
        content = path.read_text(encoding="utf-8")
        assert len(content.encode()) < MAX_BYTES
        self.feed(content)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.scripts += tag == "script"
        assert not [name for name in found if name.startswith("on")]
        assert found.get("src", "data:").startswith("data:")
        assert found.get("href", "#").startswith("#")
        if tag == "img":
            self.pictures.append(found["alt"])

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def ran(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return int(str(ended.value.code))


def trained(name: str, *words: str) -> Path:
    assert ran("train", "-q", "--run-id", name, "model=mlp", "model.hidden=[8]", "trainer.epochs=2", *words) == 0
    return Path("outputs/train") / name


def page_of(*words: str) -> Page:
    assert ran("report", *words) == 0
    out = words[words.index("--out") + 1] if "--out" in words else f"{words[0]}/report.html"
    return Page(Path(out))


def holds(page: Page, parts: Sequence[str]) -> None:
    for part in parts:
        assert part in page.text, part


def csv_of_classes(path: Path, names: Sequence[str]) -> None:
    lines = [f'{place % len(names)}.{place},{place},"{names[place % len(names)]}"' for place in range(120)]
    path.write_text("a,b,kind\n" + "\n".join(lines) + "\n", encoding="utf-8")


def test_a_finished_run_of_classes(capsys: pytest.CaptureFixture[str]) -> None:
    csv_of_classes(
        Path("d.csv"), [EVIL, "猫", "a name that is much longer than an axis of a picture has room for", "b"]
    )
    run = trained("r1", "data=csv", "data.path=d.csv", "data.target=kind", "optim=sgd", "trainer.test=true")
    page = page_of(str(run))
    holds(
        page,
        [
            "Run r1", "Finished, 2 of 2 epochs", "mlp, ", "Evaluation on the test split", EVIL, "猫", "optim.lr",
            "trainer.epochs", "(required)", "d.csv", "The command that started it", "dlexp train --from",
            "data fingerprint", "trainer.threads", "checkpoints/best.pt", "metrics.csv", "numpy==",
        ],
    )  # fmt: skip
    assert page.scripts == 1
    assert any(text.startswith("Confusion matrix of the test split") for text in page.pictures)
    assert any("val/loss goes from" in text for text in page.pictures)
    text = (run / "report.html").read_text()
    assert text.count("None") == text.count("null, None, (null),") == 1  # among the marks of missing values alone
    first = (run / "report.html").read_bytes()
    assert ran("report", str(run)) == 0
    assert (run / "report.html").read_bytes() == first  # the same files, the same page
    assert "report.html" in capsys.readouterr().out


def test_a_run_of_values_and_one_that_was_never_evaluated() -> None:
    run = trained("v1", "data=diabetes")
    holds(page_of(str(run)), ["No split was evaluated", "The test split was not evaluated", "val, best epoch", "r2"])
    assert ran("evaluate", str(run)) == 0
    page = page_of(str(run))
    holds(page, ["Evaluation on the test split", "88"])
    assert "No split was evaluated" not in page.text
    assert any("Predicted against true" in text for text in page.pictures)


def test_a_run_of_metric_learning() -> None:
    run = trained("m1", "task=metric_learning")
    holds(page_of(str(run)), ["recall_at_1", "val, best epoch"])


def test_a_run_that_was_cut_off_and_damaged_is_told_all_the_same() -> None:
    run = trained("c1", "data=iris", "trainer.test=true")
    for name in ("summary.json", "env.txt", "command.txt"):
        (run / name).unlink()
    (run / "status.json").write_text(
        json.dumps({"state": "failed", "epoch": 1, "epochs": 9, "exit_code": 1, "reason": f"it broke {EVIL}"})
    )
    (run / "meta.json").write_text("{")
    (run / "eval/test/report.json").write_text("[]")
    (run / "eval/test/confusion.png").write_bytes(b"no picture")
    with (run / "metrics.csv").open("a") as file:
        file.write("3,0.1")
    page = page_of(str(run))
    holds(
        page,
        [
            "Failed, 1 of 9 epochs", f"it broke {EVIL}", "dlexp train --resume", "meta.json", "report.json",
            "confusion.png",
        ],
    )  # fmt: skip
    assert any("train/loss goes from" in text for text in page.pictures)
    (run / "status.json").write_text("{}")
    (run / "metrics.csv").write_bytes(b"\xff\xfe\x00")
    shutil.rmtree(run / "eval")
    (run / "config.yaml").write_text("{}")
    holds(page_of(str(run)), ["status.json", "config.yaml", "No epoch has finished"])


def test_pictures_that_would_make_the_page_too_large_are_named() -> None:
    run = trained("b1", "data=iris", "trainer.test=true")
    png = b"\x89PNG\r\n\x1a\n" + os.urandom(900_000)
    for name in ("x1", "x2"):
        (run / f"eval/test/{name}.png").write_bytes(png)
    page = page_of(str(run))
    holds(page, ["eval/test/x2.png (900,008 bytes)"])
    assert any("x1.png" in text for text in page.pictures)
    assert any("Confusion" in text for text in page.pictures)


def test_several_runs_and_a_group_of_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("model=mlp", "model.hidden=[8]", "trainer.epochs=2", "data=iris", "trainer.test=true")
    assert ran("train", "-q", "--seeds", "2", "--run-dir", "g", *words) == 0
    group = page_of("g")
    holds(group, ["Comparison of 2 runs", "not distinguishable", "seed-42", "seed-43"])
    other = trained("o1", "data=iris", "optim=sgd", "trainer.test=true")
    capsys.readouterr()
    assert ran("report", "g", str(other), "--out", "sub/both.html", "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert content == {
        "kind": "runs",
        "path": "sub/both.html",
        "size": Path("sub/both.html").stat().st_size,
        "problems": [],
    }
    holds(
        Page(Path("sub/both.html")),
        ["Comparison of 3 runs, 2 configurations", "optim", "sgd", "adamw", "test/accuracy"],
    )
    assert ran("report", "g", str(other)) == 0
    assert len(list(Path("outputs/report").glob("*.html"))) == 1


def test_the_page_of_a_study_is_the_one_that_tune_writes() -> None:
    words = ("model=mlp", "data=iris", "trainer.epochs=1", "search.confirm_top=0", "--name", "s1")
    assert ran("tune", "-q", "-n", "2", *words) == 0
    study = Path("outputs/tune/s1")
    written = (study / "report.html").read_bytes()
    assert ran("report", "s1", "--out", "again.html") == 0
    assert Path("again.html").read_bytes() == written
    shutil.rmtree(study / "plots")
    (study / "trials.csv").write_text("trial,state,value\n0,complete,0.5\n1,comp")
    content = json.loads((study / "study.json").read_text())
    for key in ("reason", "confirmation", "command", "made_with", "importances"):
        content.pop(key)  # as it is while the study runs
    (study / "study.json").write_text(json.dumps(content))
    holds(page_of(str(study)), ["Study s1", "not finished", "drawn when the search ends", "complete"])
    (study / "study.json").write_text("{}")
    assert ran("report", str(study)) == 2
    assert ran("report", str(study), "outputs/train") == 2


def test_nonsense_is_refused_with_a_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    line_refused(capsys, "report", "nothing", code="not-found", where="nothing", remedy="dlexp train")
    run = trained("alpha_run", "data=iris")
    line_refused(capsys, "report", "alpha_rum", code="not-found", where="alpha_rum", remedy="alpha_run?")
    line_refused(capsys, "report", str(run), "--out", str(run), code="invalid-value", where="--out", remedy=".html")
    words = ("report", str(run), "--out", str(run / "config.yaml"))
    line_refused(capsys, *words, code="invalid-value", where="--out", remedy=".html")
    assert ran("report", "outputs") == 2
    assert "outputs" in capsys.readouterr().err
    assert (run / "config.yaml").read_text().startswith("choices:")


def test_it_loads_no_torch() -> None:
    run = trained("t1", "data=iris")
    program = (
        "import sys\nfrom dlexp.cli.app import main\n"
        f"try: main(['report', {str(run)!r}])\nexcept SystemExit as end: assert not end.code\n"
        "print([name for name in ('torch', 'optuna', 'torchvision', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert re.fullmatch(r"\[\]", done.stdout.splitlines()[-1])
