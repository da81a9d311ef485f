"""`dlexp verify`: words to a verification, and its verdict to something to read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from dlexp.cli.argv import Setting
from dlexp.cli.commands.configuration import configuration, trusted_of
from dlexp.cli.console import escape, out, print_json, table
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError

_EPOCHS = "trainer.epochs=3"  # something before the stop, something after it, and an edge on either side
_TRACKERS = ("logger.tensorboard=false", "logger.mlflow=false", "logger.wandb=false")
_FORCED = ("trainer.test=false", *_TRACKERS)  # no look at the test split, nothing but what is compared
_DIFFERENT = 1


@dataclass(frozen=True)
class VerifyWords:
    """The words of `dlexp verify`; the first may be a run."""

    words: tuple[str, ...]
    at: tuple[int, ...]
    determinism: bool


def verify(words: VerifyWords, setting: Setting, quiet: bool, as_json: bool) -> None:
    """Verify and show the verdict; the process ends with 1 when a bit differs."""
    if words.at and words.determinism:
        raise ConfigError.one(
            "--at",
            words.at[0],
            "cannot stand beside --determinism, which stops nowhere",
            "drop one",
            code="cannot-combine",
        )
    run, overrides = _split(words.words)
    forced = (*(() if _says_epochs(overrides) else (_EPOCHS,)), *_FORCED)
    config, typed, _ = configuration((*overrides, *forced), run, Catalog(setting.config_dirs))
    trusted = trusted_of(setting)
    from dlexp.cli.views.training import reporter
    from dlexp.workflows.verify import verify as workflow

    request = workflow.VerifyRequest(typed, (setting.command,), trusted, words.at, words.determinism)
    content = workflow.verify(config, request, reporter(quiet))
    if as_json:
        print_json(content)
    else:
        _show(content, setting.command)
    if not content["equal"]:
        raise typer.Exit(_DIFFERENT)


def _split(words: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """(the run that comes first, or None; the overrides)."""
    is_run = bool(words) and "=" not in words[0]
    return (words[0], tuple(words[1:])) if is_run else (None, tuple(words))


def _says_epochs(overrides: Sequence[str]) -> bool:
    return any(word.lstrip("+").startswith("trainer.epochs=") for word in overrides)


def _show(content: Mapping[str, Any], command: str) -> None:
    title = (
        f"{content['model']} on {content['data']}, {content['epochs']} epochs, {content['updates']} updates, "
        f"{content['device']}, {content['precision']}"
    )
    rows = [[check["place"], _saved_at(check["saved_at"]), _result(check)] for check in content["checks"]]
    header = ["stopped", "saved at", "and resumed"]
    if content["determinism"]:
        rows, header = [[place, result] for place, _, result in rows], ["run", "against the first"]
    out.print(table(title, header, rows, numbers_from=9))
    for text in content["left_out"]:
        out.print(f"[yellow]left out[/]: {escape(text)}")
    folder = escape(min(os.path.relpath(content["folder"]), content["folder"], key=len))
    if content["equal"]:
        size = content["compared"]
        out.print(
            f"\n[bold green]bit-equal[/]: {size['tensors']:,} tensors with {size['numbers']:,} numbers, "
            f"{size['values']:,} other values and the {size['rows']} rows of metrics.csv"
        )
    else:
        _show_difference(content, folder, command)
    out.print(f"\n  verdict  {folder}/verify.json")


def _show_difference(content: Mapping[str, Any], folder: str, command: str) -> None:
    """The first tensor that differs, where to look, and what to try."""
    check = next(check for check in content["checks"] if not check["equal"])
    first = check["first_tensor"] or "{where}: {what}".format_map(check["differences"][0])
    out.print(f"\n[bold red]different[/] ({escape(check['place'])}): {escape(first)}")
    out.print(f"\n  kept     {folder}/whole and {folder}/{check['place'].replace(' ', '-')}")
    if not content["determinism"]:
        out.print(f"  next: {escape(command)} --determinism says whether it repeats without any stop")
    elif not content["deterministic"]:
        out.print("  next: the same with deterministic=true")


def _saved_at(position: Mapping[str, int] | None) -> str:
    if position is None:
        return "nothing saved yet"
    if position["batch"]:
        return f"update {position['step']}: epoch {position['epoch'] + 1}, batch {position['batch']}"
    return f"update {position['step']}: end of epoch {position['epoch']}"


def _result(check: Mapping[str, Any]) -> str:
    count = check["num_differences"]
    return "bit-equal" if check["equal"] else f"{count:,} place{'s' if count > 1 else ''} differ"
