"""Names, cells and files of unknown origin: nothing in them reaches a terminal, a log or a page as a command."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from pathlib import Path

import pytest
from rich.text import Text

from dlexp.artifacts.runs.metrics_log import MetricsLog
from dlexp.cli.app import main
from dlexp.cli.console import CleanConsole, escape, table
from dlexp.cli.errors import show_error
from dlexp.cli.style import VisibleStream, echo, print_json, styled
from dlexp.errors import ConfigError, DlexpError
from dlexp.report.pages.html import paragraph
from dlexp.text.printable import printable, printable_lines

pytestmark = pytest.mark.pictures

EVIL = "cat\x1b]0;owned\x07\x1b[31m[red]\x9b2J\u202e\nforged: 100 %"
SHOWN = r"cat\x1b]0;owned\x07\x1b[31m[red]\x9b2J\u202e\nforged: 100 %"
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


def test_one_function_makes_visible() -> None:
    assert printable(EVIL) == SHOWN
    assert printable_lines("a\tb\nc\rd\x00") == "a\tb\nc\\rd\\x00"
    assert printable("\udcff\u2028\U000e0041\x7f") == "\\udcff\\u2028\\U000e0041\\x7f"
    plain = "Grüße, ½ µm, 中文, שלום, नमस्ते, 👩‍💻, C:\\x1b"
    assert printable(plain) == plain == printable_lines(plain)
    assert all(not CONTROLS.search(printable(chr(number))) for number in range(0x300))


def test_console_and_tables_are_clean(capsys: pytest.CaptureFixture[str]) -> None:
    console = CleanConsole()
    console.print(f"[bold]{escape(EVIL)}[/] :warning:")
    console.print(Text(EVIL))
    console.print(table(EVIL, ["class", EVIL], [[EVIL, "1"]]))
    shown = capsys.readouterr().out
    assert not CONTROLS.search(shown) and ":warning:" in shown
    assert shown.count(SHOWN) == 4 and shown.count("\nforged") == 1  # Text is of several lines, and stays so


def test_styles_are_ours_alone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout", stream)
    echo(f"{styled(EVIL, 'red', bold=True)} \x1b[31mred\x1b[0m")
    assert stream.getvalue() == f"\x1b[31m\x1b[1m{SHOWN}\x1b[0m \\x1b[31mred\\x1b[0m\n"
    echo(EVIL, err=True)
    show_error(ConfigError.one(EVIL, EVIL, EVIL, EVIL, code="invalid-value"), as_json=False)
    show_error(DlexpError(EVIL), as_json=False)
    err = capsys.readouterr().err
    assert not CONTROLS.search(err)
    assert err.count("\n    forged") == 1 and err.count("\n  forged") == 1  # another line of a rule is indented


def test_traceback_and_words_of_others_are_clean() -> None:
    stream = io.StringIO()
    visible = VisibleStream(stream)
    visible.writelines(["UserWarning: ", EVIL])
    assert stream.getvalue() == "UserWarning: " + SHOWN.replace("\\n", "\n")
    assert visible.isatty() is False


def test_log_page_and_json_are_clean(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    MetricsLog(tmp_path).say(EVIL)
    assert (tmp_path / "train.log").read_text().endswith(f" {SHOWN}\n")
    assert not CONTROLS.search(paragraph(EVIL)) and "&lt;b&gt;" in paragraph("<b>")
    print_json({EVIL: EVIL + "\x7f"})
    shown = capsys.readouterr().out
    assert not CONTROLS.search(shown) and json.loads(shown) == {EVIL: EVIL + "\x7f"}


def ran(*words: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    return int(stopped.value.code or 0)


def test_no_command_prints_a_command_of_the_data(capfd: pytest.CaptureFixture[str]) -> None:
    with Path("h.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow([f"x{EVIL}", "c\x1b[5m", "y\x1b[7m"])
        rows.writerows(
            [n % 7 - 3, ("A\x1b[2J", "B[red]")[n % 2], (EVIL, "dog\x1b[1m", "owl\u202e")[n % 3]] for n in range(90)
        )
    data = ("data=csv", "data.path=h.csv", 'data.target="y\x1b[7m"')
    run = f"outputs/train/{os.getpid()}"
    shown = []
    for words in (
        ("data", "check", *data),
        ("data", "preview", *data, "--out", "p.png"),
        ("data", "fingerprint", *data),
        ("train", "model=perceptron", "trainer.epochs=1", *data, "--run-dir", run),
        ("evaluate", run, "--resamples", "0"),
        ("runs", "show", run),
        ("report", run),
        ("data", "check", *data[:2], "data.target=nope\x1b[31m"),
        ("nosuch\x1b[31m",),
    ):
        ran(*words)
        captured = capfd.readouterr()
        assert not CONTROLS.search(captured.out + captured.err), words
        assert "\nforged" not in captured.out + captured.err, words
        shown.append(captured.out)
    assert SHOWN in shown[4] and "B[red]" in shown[1]
    assert not CONTROLS.search(Path(run, "train.log").read_text())
    assert not CONTROLS.search(Path(run, "report.html").read_text())
    ran("evaluate", run, "--resamples", "0", "--json")
    assert json.loads(capfd.readouterr().out)["split"] == "test"
