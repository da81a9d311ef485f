"""The examples of the documentation run as a reader types them, and its refusals are what dlexp prints."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from doc_pages import NAMES, Command, commands, saved_files, text_of
from docs_folder import folder_of_small_files as folder_of_small_files
from docs_folder import folder_of_the_docs as folder_of_the_docs
from docs_folder import in_folder_of_the_docs as in_folder_of_the_docs

from dlexp.cli.app import main

EXAMPLES = [page for page in NAMES if saved_files(page)]
REFUSALS = [command for page in NAMES for command in commands(page) if command.is_refusal]
SHORT = {"train": ("trainer.epochs=1",), "evaluate": ("--resamples", "100")}  # so that an example takes a second


@pytest.fixture(autouse=True)
def own_modules() -> Iterator[None]:
    """my_package of one test is not that of another."""
    path = list(sys.path)
    yield
    sys.path[:] = path
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_package"]:
        del sys.modules[name]


def write_example(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that a page says to save, and the variables that it says to export."""
    for name, text in saved_files(page).items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")
    if Path("my_package").is_dir():
        Path("my_package/__init__.py").touch()
    if "export DLEXP_CONFIG_DIR=my_conf DLEXP_TRUST=my_package" in text_of(page):
        monkeypatch.setenv("DLEXP_CONFIG_DIR", "my_conf")
        monkeypatch.setenv("DLEXP_TRUST", "my_package")


def remove(path: Path, text: str) -> None:
    """Remove the line of a file that contains `text`, and what is indented below it."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    start = next(number for number, line in enumerate(lines) if text in line)
    depth = len(lines[start]) - len(lines[start].lstrip())
    end = start + 1
    while end < len(lines) and len(lines[end]) - len(lines[end].lstrip()) > depth:
        end += 1
    path.write_text("".join(lines[:start] + lines[end:]), encoding="utf-8")


def exit_code(words: Sequence[str]) -> int:
    """The exit code of `dlexp` and these words, run in this process."""
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    return int(stopped.value.code or 0)


def test_there_are_examples_of_own_components_and_files() -> None:
    added = ("data-set", "loss", "metric", "task")
    guides = (*(f"add-a-{name}" for name in added), "add-other-components", "configuration-files", "own-experiments")
    assert set(EXAMPLES) == {"docs/start/your-own-model.md", *(f"docs/guides/{guide}.md" for guide in guides)}
    assert len(REFUSALS) >= 14


@pytest.mark.parametrize("page", EXAMPLES)
def test_an_example_runs_as_it_is_typed(
    page: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_example(page, monkeypatch)
    typed = [command for command in commands(page) if not command.output and command.words[0] != "verify"]
    assert len(typed) >= 2
    for command in typed:
        name, *words = ["2" if (one, before) == ("20", "-n") else one for before, one in pairwise(("", *command.words))]
        more = SHORT.get(name, ()) if "--dry-run" not in words else ()
        code = exit_code([name, *words, *more])
        assert code == 0, f"{command}\n{capsys.readouterr().err}"


@pytest.mark.parametrize("command", REFUSALS, ids=str)
def test_a_refusal_is_what_is_printed(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder_of_the_docs: Path
) -> None:
    Path("wine.csv").write_bytes((folder_of_the_docs / "wine.csv").read_bytes())
    write_example(command.page, monkeypatch)
    for name in command.without:
        monkeypatch.delenv(name)
    for name, text in command.edits:
        remove(Path(name), text)
    assert exit_code(command.words) == (3 if command.output[0].startswith("DataError") else 2)
    printed = [line.rstrip() for line in capsys.readouterr().err.splitlines() if line.strip()]
    shown = [line.rstrip() for line in command.output if line.strip()]
    whole = "\n".join(printed)
    assert len(printed) == len(shown), f"{command} prints\n{whole}"
    for real, line in zip(printed, shown, strict=True):
        start, cut, _ = line.partition("...")
        assert real.startswith(start) if cut else real == line, f"{command} prints\n{whole}"
