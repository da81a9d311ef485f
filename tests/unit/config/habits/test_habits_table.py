"""Every name of another tool is answered with words that bash and zsh pass on and that compose."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from dlexp.cli.app import COMMANDS as COMMANDS_HERE
from dlexp.cli.app import _options_of
from dlexp.cli.correction import CommandOptions, _corrected, command_problem, option_problems, shown_line
from dlexp.config.check.suggest import all_paths, unknown_key
from dlexp.config.compose import load_unfitted
from dlexp.config.files.catalog import Catalog
from dlexp.config.habits.habit import Habit
from dlexp.config.habits.line import COMMANDS, TUNE
from dlexp.config.habits.lookup import HABITS
from dlexp.config.overrides import parse
from dlexp.errors import ConfigError

SHELLS = [shell for shell in ("bash", "zsh") if shutil.which(shell)]
NAMES = [(habit, name) for habit in HABITS for name in habit.names.split()]
_IDS = [name for _, name in NAMES]


CATALOG = Catalog()


@cache
def options_of(command: str) -> CommandOptions:
    found = _options_of([command])
    assert found is not None
    return found


def command_of(habit: Habit) -> str:
    return "tune" if habit in TUNE else "train"


@cache
def lines() -> dict[str, str]:
    """Name -> the line to type, from the option of that name; for names without a correction, from its example."""
    found = {}
    for habit, name in NAMES:
        command = command_of(habit)
        option = f"--{name.replace('_', '-')}" if len(name) > 1 else f"-{name}"
        typed = [*shlex.split(habit.beside), option, *([habit.example] if habit.example else [])]
        problems = option_problems(typed, options_of(command))  # none for an option of that name
        corrected = _corrected([command, *typed], problems)
        words = corrected or [command, *shlex.split(habit.beside), *habit.answer(habit.example or None).words]
        found[name] = shown_line(words)
    return found


@cache
def pasted(shell: str) -> dict[str, list[str]]:
    """Name -> the words that a shell passes on when the line is pasted; one shell for all lines."""
    prompt = "dlexp() { printf '%s\\0' \"$@\"; printf '\\n'; }\n"
    script = prompt + "\n".join(lines().values()) + "\n"
    done = subprocess.run([shell, "-f" if shell == "zsh" else "--norc"], input=script, capture_output=True, text=True)
    assert done.stderr == ""
    return dict(zip(lines(), [line.split("\0")[:-1] for line in done.stdout.splitlines()], strict=True))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield


@pytest.mark.parametrize("shell", SHELLS)
def test_every_remedy_can_be_pasted_into_a_shell_and_composes(shell: str) -> None:
    every = [tuple(words) for words in pasted(shell).values()]
    known = {"train": options_of("train").flags, "tune": options_of("tune").flags}
    unknown = {word for words in every for word in words[1:] if word[:1] == "-" and word not in known[words[0]]}
    assert unknown <= {"--config"}
    failed = [line for line in together(every) if refusal(line)]
    alone = [words for line in failed for words in every if set(words[1:]) <= set(line)]
    assert not [error for words in alone if (error := refusal(words))] and not failed, list(map(refusal, failed))


def together(lines: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The overrides of many lines in few: of those that set no key to two values and choose no group twice."""
    found: list[dict[str, str]] = []
    for line in lines:
        own = dict(word.split("=", 1) for word in line[1:] if "=" in word and not word.startswith("-"))
        own |= {group: own.get(group, "") for group in {key.partition(".")[0] for key in own} & set(CATALOG.groups)}
        fitting = (keys for keys in found if all(keys.get(key, value) == value for key, value in own.items()))
        keys = next(fitting, None)
        if keys is None:
            found.append(keys := {})
        keys |= own
    return [("train", *(f"{key}={value}" for key, value in keys.items() if value)) for keys in found]


@cache
def refusal(words: tuple[str, ...]) -> str:
    """Why a line is refused, "" if its options exist and its overrides compose."""
    overrides = [word for word in words[1:] if "=" in word and not word.startswith("-")]
    try:
        load_unfitted(overrides, CATALOG)
    except ConfigError as error:
        return str(error)
    return ""


def test_a_name_as_a_key_is_answered_with_the_same_words() -> None:
    for habit, name in NAMES:
        if name in CATALOG.groups or name in all_paths(CATALOG) or len(name) == 1:
            continue
        value = habit.example or "true"
        if name.startswith("hydra") or "." not in name:
            problem = parse([f"{name}={value}"], CATALOG)[1][0]
        else:
            problem = unknown_key(name, int(value) if value.isdigit() else value, {}, CATALOG)
        answer = habit.answer(value)
        assert all(shlex.quote(word).strip("'") in problem.remedy for word in answer.words[-1:]), name
        assert answer.words or problem.remedy == "Remove it.", name
        assert (problem.instead is None) == (not answer.is_sure), name


def test_no_name_is_listed_twice_or_is_a_key() -> None:
    assert len(_IDS) == len(set(_IDS))
    assert not {name for name in _IDS if "." in name} & set(all_paths(CATALOG))


@pytest.mark.parametrize(("typed", "meant"), COMMANDS.items())
def test_commands_of_other_tools_lead_to_commands(typed: str, meant: str) -> None:
    names = [command.name for command in COMMANDS_HERE]
    problem = command_problem([typed], names)
    if typed in names:
        assert problem is None
        return
    assert problem is not None and problem.instead == tuple(meant.split())
    first = meant.split()[0]
    assert first in names or first.startswith("--")
    if first == "train":
        assert not refusal(tuple(meant.split()))


def test_the_page_of_habits_lists_every_name_and_command() -> None:
    page = (Path(__file__).parents[4] / "docs/start/from-other-tools.md").read_text()
    assert [name for name in (*_IDS, *COMMANDS) if f"`{name}`" not in page] == []


def test_environment_of_the_test_has_a_shell() -> None:
    assert "bash" in SHELLS, os.environ.get("PATH")


def corrected_of(*typed: str) -> list[str] | None:
    problems = option_problems(typed, options_of("train"))
    problems += parse([word for word in typed if "=" in word and word[0] != "-"], CATALOG)[1]
    return _corrected(["train", *typed], problems)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("--momentum 0.9 --nesterov", "optim=sgd optim.momentum=0.9 optim.nesterov=true"),
        ("momentum=0.9 nesterov=true", "optim=sgd optim.momentum=0.9 optim.nesterov=true"),
        ("--decay-rate 0.1 decay_epochs=3", "scheduler=step scheduler.gamma=0.1 scheduler.step_size=3"),
        ("--epochs 3 --max_epochs 3", "trainer.epochs=3"),
        ("--output-dir a --output_directory a", "--run-dir a"),
        ("--wandb --log-wandb", "logger=wandb"),
    ],
)
def test_no_corrected_line_repeats_words(typed: str, words: str) -> None:
    assert corrected_of(*typed.split()) == ["train", *words.split()]


def test_two_values_of_a_key_have_no_single_correction() -> None:
    assert corrected_of("--epochs", "3", "--max_epochs", "5") is None
    assert corrected_of("trainer.epochs=4", "--max_epochs", "5") is None


@pytest.mark.parametrize("value", ["1", "-1", "auto"])
def test_one_device_is_the_one_of_this_machine(value: str) -> None:
    (problem,) = option_problems([f"--trainer.devices={value}"], options_of("train"))
    assert problem.instead == ("trainer.device=auto",) and "one device" in problem.rule
    assert option_problems(["--devices", "2"], options_of("train"))[0].instead is None


@pytest.mark.parametrize("name", ["BCEWithLogitsLoss", "binary_crossentropy"])
def test_a_loss_of_two_classes_is_no_single_correction(name: str) -> None:
    (problem,) = parse([f"loss={name}"], CATALOG)[1]
    assert problem.instead is None and "loss=bce" in problem.remedy and "loss=cross_entropy" in problem.remedy
    assert parse(["loss=bec"], CATALOG)[1][0].instead == ("loss=bce",)


@pytest.mark.parametrize("word", ["optim.phases.critic=sgd", "scheduler.phases.critic=cosine"])
def test_a_phase_has_no_option_of_its_own(word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_unfitted([word], CATALOG)
    (problem,) = caught.value.problems
    key, _, option = word.partition("=")
    assert problem.code == "unknown-key" and problem.instead is None
    assert f"{key.partition('.')[0]}={option} {key}." in problem.remedy
