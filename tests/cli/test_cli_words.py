"""The mistakes that people make on the command line, and help, lists, explanations and completion."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from refusals import line_refused

from dlexp.cli.app import main
from dlexp.cli.argv import with_empty_values

DLEXP = str(Path(sys.executable).with_name("dlexp"))


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test starts in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shown(capsys: pytest.CaptureFixture[str], *words: str, code: int = 2) -> str:
    """Run the words, which must end with `code`, write nothing, and show no traceback; returns standard error."""
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    assert stopped.value.code == code
    assert list(Path.cwd().iterdir()) == []
    text = capsys.readouterr().err
    assert "Traceback" not in text
    assert len(text.splitlines()) < 40
    return text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=resnet81"], "model=resnet18?"),
        (["modle=mlp"], "model=mlp?"),
        (["optim.lrr=0.1"], "optim.lr=0.1?"),
        (["optimizer.lr=0.1"], "optim.lr=0.1?"),
        (["lr=0.1"], "optim.lr=0.1?"),
        (["epochs=3"], "trainer.epochs=3?"),
        (["resnet18"], "model=resnet18?"),
        (["optim=sgdd"], "optim=sgd?"),
        (["trainer.epochs=1O"], "whole number >= 1"),
        (["trainer.epochs=0"], "whole number >= 1"),
        (["optim.lr=nan"], "number > 0"),
        (["optim.lr=[1"], "optim.lr=[1"),
        (["optim.lr=0.1,0.2"], "optim.lr=0.1,0.2"),
        (["optim.momentum=0.9"], "optim=sgd"),
        (["trainer.monitor=val/acc"], "trainer.monitor=val/accuracy?"),
        (["model=resnet18", "data=iris"], "images"),
        (["loss=mse"], "loss=mse"),
        (["model=resnet18", "regularization.dropout=0.1"], "regularization.dropout=0.1"),
        (["data=diabetes", "regularization.label_smoothing=0.1"], "regularization.label_smoothing=0.1"),
        (["data=csv"], "data.target"),
        (["+optim.color=red"], "optim.color=red"),
        (["experiment=none_such"], "experiment=none_such"),
        (["--config-dir", "nowhere"], "nowhere"),
        (["trainer.device=cuda:99"], "trainer.device=auto"),
        (["init_from=nowhere"], "init_from"),
        (["scheduler=onecycle", "optim=sgd", "optim.momentum=0"], "scheduler.cycle_momentum=false"),
        (["optim=sgd", "optim.nesterov=true", "optim.momentum=0"], "momentum"),
        (["scheduler.warmup_epochs=99"], "1980"),
        (["data.val_fraction=0.6", "data.test_fraction=0.5"], "data.val_fraction"),
        (["--resume", "--from", "x"], "--from"),
        (["--resume", "init_from=x"], "init_from"),
        (["--resume"], "--resume"),
        (["--resume", "nowhere"], "nowhere"),
        (["--from", "nowhere"], "nowhere"),
        (["--epochs", "3"], "Type: dlexp train trainer.epochs=3"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_train_refuses_with_the_remedy(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in shown(capsys, "train", *words)


def test_all_problems_come_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "train", "modle=mlp", "optim.lrr=1", "trainer.epochs=1O", "seed=-1")
    assert text.startswith("4 problems")


@pytest.mark.parametrize(
    ("words", "code", "where"),
    [
        (["--resume", "--from", "x"], "cannot-combine", "--resume"),
        (["--resume", "init_from=x"], "cannot-combine", "--resume"),
        (["--run-id", "a", "--run-dir", "b"], "cannot-combine", "--run-id"),
        (["--allow-changes"], "no-effect", "--allow-changes"),
        (["--jobs", "2"], "missing-requirement", "--jobs"),
    ],
)
def test_options_that_cannot_be_combined_are_refused_with_their_code(
    words: list[str], code: str, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line_refused(capsys, "train", *words, code=code, where=where)


def test_json_errors_are_json_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "optim.lrr=1", "--json"])
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["exit_code"], error["code"]) == (2, "unknown-key")
    assert error["problems"][0]["where"] == "optim.lrr"


def test_data_errors_end_with_three(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ("train", "data=csv", "data.path=none.csv", "data.target=x")
    assert "none.csv" in shown(capsys, *words, code=3)


def test_a_directory_in_use_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.txt").write_text("years of work")
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--run-dir", "used"])
    assert stopped.value.code == 2
    assert "used" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "used").iterdir()] == ["thesis.txt"]


def test_evaluate_refuses_what_the_run_has_fixed(capsys: pytest.CaptureFixture[str]) -> None:
    line_refused(capsys, "evaluate", "latest", "optim.lr=1", code="not-supported", where="optim.lr")
    line_refused(capsys, "evaluate", "latest", "--split", "tets", code="unknown-value", where="--split", remedy="test?")
    assert "dlexp train" in shown(capsys, "evaluate", "latest")


def test_list_shows_every_group_with_descriptions(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["list", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert set(found) >= {"model", "optim", "scheduler", "regularization", "data"}
    assert all(description for options in found.values() for description in options.values())


def test_config_shows_sources_and_explains(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["config", "optim=sgd", "optim.lr=0.1", "--explain", "optim.lr", "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert facts["value"] == 0.1
    assert facts["default"] == "0.05"
    assert facts["origin"] == "command line"
    assert facts["read_by"] == "dlexp.optim.optimizers.sgd.sgd"
    with pytest.raises(SystemExit):
        main(["config", "--sources", "--json"])
    rows = {row["key"]: row["origin"] for row in json.loads(capsys.readouterr().out)}
    assert "adamw.yaml:" in rows["optim.lr"]
    assert rows["trainer.clip_norm"] == "default of the schema"


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["list"], ["config"], ["train", "optim.lrr=1"]])
def test_quick_commands_import_no_torch(words: list[str]) -> None:
    code = (
        "import sys\nfrom dlexp.cli.app import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n    slow = {'torch', 'optuna', 'matplotlib', 'pandas', 'sklearn'} & set(sys.modules)\n"
        "    print('slow:', sorted(slow))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert "slow: []" in done.stdout


@pytest.mark.parametrize(
    ("words", "filled"),
    [
        (["--resume"], ["--resume", ""]),
        (["--resume", "-q"], ["--resume", "", "-q"]),
        (["--plot-schedule", "optim=sgd"], ["--plot-schedule", "", "optim=sgd"]),
        (["--resume", "trainer.epochs=9"], ["--resume", "", "trainer.epochs=9"]),
        (["--resume", "outputs/latest"], ["--resume", "outputs/latest"]),
        (["--resume=outputs/latest"], ["--resume=outputs/latest"]),
    ],
)
def test_options_that_may_stand_alone_get_an_empty_value(words: list[str], filled: list[str]) -> None:
    assert with_empty_values(words) == filled


def completed(shell: str, line: str, cursor: int | None = None) -> list[str]:
    """What `shell` would offer at the end of `line`."""
    words = line.split(" ")
    env = {**os.environ, "_DLEXP_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": line}
    if shell == "bash":
        env |= {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1 if cursor is None else cursor)}
    if shell == "fish":
        env |= {"_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = subprocess.run([DLEXP], env=env, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    text = done.stdout.replace('"', "").replace("_arguments '*: :((", "").replace("))'", "")
    return [word.split("\t")[0].split(":")[0].replace("\\", "") for word in text.split()]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("dlexp tra", "train"),
        ("dlexp train mod", "model="),
        ("dlexp train model=res", "model=resnet18"),
        ("dlexp train optim.l", "optim.lr="),
        ("dlexp train optim=sgd optim.mom", "optim.momentum="),
        ("dlexp train trainer.ep", "trainer.epochs="),
        ("dlexp verify model=res", "model=resnet18"),
        ("dlexp verify latest optim.l", "optim.lr="),
        ("dlexp list sch", "scheduler"),
        ("dlexp evaluate --split v", "val"),
        ("dlexp train --see", "--seeds"),
    ],
)
def test_completion(shell: str, line: str, offered: str) -> None:
    assert offered in completed(shell, line)


def test_completion_in_bash_after_it_cut_the_word_at_the_equals_sign() -> None:
    assert completed("bash", "dlexp train model = googl", 4) == ["googlenet"]
    assert "mlp" in completed("bash", "dlexp train model =", 3)


def test_completion_offers_run_directories(tmp_path: Path) -> None:
    run = tmp_path / "outputs" / "train" / "20260101-000000-mlp-digits-abcd"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("choices: {}\n")
    for command in ("evaluate", "verify"):
        assert "outputs/train/20260101-000000-mlp-digits-abcd" in completed("bash", f"dlexp {command} outp")


def test_batch_normalization_with_batches_of_one_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "data.batch_size=1" in shown(capsys, "train", "data=iris", "data.batch_size=1")


def test_help_of_every_command_has_its_options_and_the_groups_help_has_every_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from dlexp.cli import app

    complete = app.app_with()

    def output_of(*words: str) -> str:
        with pytest.raises(SystemExit):
            app.main(list(words))
        return capsys.readouterr().out

    whole = output_of("--help")
    summaries = {command.name: command.summary for command in app.COMMANDS}
    assert {command.name for command in complete.registered_commands} < summaries.keys()
    for command in complete.registered_commands:
        name = str(command.name)
        assert str(command.callback.__doc__).startswith(summaries[name])
        assert f"\n  {name} " in whole
        own = output_of(name, "--help")
        assert f"dlexp {name} [OPTIONS]" in own
        assert "--help" in own
    assert "--resume" in output_of("train", "--help")
