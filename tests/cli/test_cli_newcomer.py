"""What a newcomer types: runs that do not exist, help, dry runs, and lines of progress."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from refusals import line_refused

from dlexp.cli.app import COMMANDS, main
from dlexp.cli.views.training import tune

RUN_COMMANDS = [
    ("evaluate", "NAME"),
    ("predict", "NAME", "x.csv"),
    ("export", "NAME"),
    ("explain", "NAME"),
    ("report", "NAME"),
    ("replay", "NAME"),
    ("adapt", "NAME", "data=iris"),
    ("compare", "NAME", "NAME"),
    ("runs", "show", "NAME"),
    ("verify", "NAME"),
    ("train", "--resume", "NAME"),
    ("train", "--from", "NAME"),
]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test starts in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DLEXP_RUNS_DIR", raising=False)
    return tmp_path


@pytest.fixture
def one_run(empty_folder: Path) -> Path:
    """A run, and the link to it."""
    run = empty_folder / "outputs" / "train" / "20260101-000000-mlp-iris-abcd"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("choices: {}\n")
    (run.parent.parent / "latest").symlink_to("train/20260101-000000-mlp-iris-abcd")
    return run


def named(line: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(name if word == "NAME" else word for word in line)


@pytest.mark.parametrize("name", ["latest", "latset"])
@pytest.mark.parametrize("line", RUN_COMMANDS, ids=" ".join)
def test_without_a_run_the_line_that_makes_one_is_named(
    line: tuple[str, ...], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line_refused(capsys, *named(line, name), code="not-found", where=name, remedy="Train one: dlexp train")


@pytest.mark.parametrize("line", [("evaluate",), ("report",), ("replay",)], ids=" ".join)
def test_a_command_alone_without_a_run(line: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    line_refused(capsys, *line, code="not-found", where="latest", remedy="Train one: dlexp train")


def test_resuming_without_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    line_refused(capsys, "train", "--resume", code="not-found", where="--resume", remedy="Train one: dlexp train")


@pytest.mark.usefixtures("one_run")
@pytest.mark.parametrize("line", [*RUN_COMMANDS, ("runs", "rm", "NAME")], ids=" ".join)
def test_a_misspelled_run_is_named(line: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    line_refused(capsys, *named(line, "latset"), code="not-found", where="latset", remedy="Did you mean latest?")


@pytest.mark.usefixtures("one_run")
def test_initial_weights_of_a_misspelled_run(capsys: pytest.CaptureFixture[str]) -> None:
    line_refused(
        capsys,
        "train",
        "init_from=latset",
        code="not-found",
        where="init_from",
        remedy="Did you mean init_from=outputs/latest?",
    )


def modules_of(*words: str) -> set[str]:
    """The modules of dlexp that a command imports."""
    code = (
        "import sys\nfrom dlexp.cli.app import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n    print('modules:', *(name for name in sys.modules if name.startswith('dlexp')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("modules:")[2].split())


@pytest.mark.parametrize(
    ("words", "used"),
    [
        (("--help",), ()),
        (("train", "--help"), ("training.train",)),
        (("runs", "--help"), ("results.runs",)),
        (("list", "optim"), ("inspection.list",)),
        (("lr-find", "--help"), ("training.lr_find",)),
    ],
)
def test_only_the_module_of_the_named_command_is_imported(words: tuple[str, ...], used: tuple[str, ...]) -> None:
    found = modules_of(*words)
    places = {f"dlexp.cli.commands.{command.place.partition(':')[0]}" for command in COMMANDS}
    assert found & places == {f"dlexp.cli.commands.{name}" for name in used}
    assert words != ("--help",) or len(found) <= 12


def test_a_dry_run_speaks_as_the_display_does(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["train", "data=iris", "--dry-run", "trainer.device=cpu"])
    assert not stopped.value.code
    text = capsys.readouterr().out
    labels = [line[2:18].strip() for line in text.splitlines() if line.startswith("  ")]
    assert {"model", "task", "data", "machine", "updates", "first update"} <= set(labels)
    assert "_" not in "".join(labels)
    assert "90 train / 30 val / 30 test" in text and " parameters" in text and " %" in text


def test_the_time_left_of_a_study_is_shown_once_known() -> None:
    pace = tune._Pace(3)
    pace.see(0)
    assert pace.left(0) == ""
    assert pace.left(1).endswith(" s left")


@pytest.mark.parametrize(
    "words",
    [
        ("data=sales.csv", "target=price"),
        ("target=price", "data=sales.csv"),
        ("data=sales.csv", "data.target=price"),
        ("data.target=price", "sales.csv"),
        ("--data", "sales.csv", "--target", "price"),
    ],
    ids=" ".join,
)
def test_the_target_that_is_typed_is_that_of_the_line_to_type(
    words: tuple[str, ...], empty_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("sales.csv").write_text("price,size,sold\n" + "".join(f"{n},{n % 7},{'ab'[n % 2]}\n" for n in range(60)))
    with pytest.raises(SystemExit):
        main(["train", *words])
    typed = capsys.readouterr().err.partition("Type: dlexp train ")[2].split()
    assert sorted(typed) == ["data.path=sales.csv", "data.target=price", "data=csv"]
