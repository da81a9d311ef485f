"""The command `dlexp verify`: runs the verification and prints its verdict."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from dlexp.cli.argv import CommonOptions
from dlexp.cli.commands.configuration import configuration, trusted_of
from dlexp.cli.console import escape, out, print_json, table
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError

_EPOCHS = "trainer.epochs=3"  # training before and after the stop, and an epoch boundary on either side
_TRACKERS = ("logger.tensorboard=false", "logger.mlflow=false", "logger.wandb=false")
_FORCED = ("trainer.test=false", *_TRACKERS)  # no use of the test split, and only what is compared
_DIFFERENT = 1


@dataclass(frozen=True)
class VerifyArguments:
    """The arguments of `dlexp verify`; the first one may be a run."""

    arguments: tuple[str, ...]
    at: tuple[int, ...]
    determinism: bool


def verify(arguments: VerifyArguments, common: CommonOptions, quiet: bool, as_json: bool) -> None:
    """Verify and print the verdict; the exit code is 1 if the runs differ."""
    if arguments.at and arguments.determinism:
        raise ConfigError.one(
            "--at",
            arguments.at[0],
            "cannot be combined with --determinism, which does not stop the run",
            "Remove one of the two options.",
            code="cannot-combine",
        )
    run, overrides = _split(arguments.arguments)
    forced = (*(() if _says_epochs(overrides) else (_EPOCHS,)), *_FORCED)
    config, typed, _ = configuration((*overrides, *forced), run, Catalog(common.config_dirs))
    trusted = trusted_of(common)
    from dlexp.cli.views.training import reporter
    from dlexp.workflows.verify import verify as workflow

    request = workflow.VerifyRequest(typed, (common.command,), trusted, arguments.at, arguments.determinism)
    content = workflow.verify(config, request, reporter(quiet))
    if as_json:
        print_json(content)
    else:
        _show(content, common.command)
    if not content["equal"]:
        raise typer.Exit(_DIFFERENT)


def _split(arguments: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """(the run, None if the first argument is an override; the overrides)."""
    is_run = bool(arguments) and "=" not in arguments[0]
    return (arguments[0], tuple(arguments[1:])) if is_run else (None, tuple(arguments))


def _says_epochs(overrides: Sequence[str]) -> bool:
    return any(word.lstrip("+").startswith("trainer.epochs=") for word in overrides)


def _show(content: Mapping[str, Any], command: str) -> None:
    title = (
        f"{content['model']} on {content['data']}, {content['epochs']} epochs, {content['updates']} updates, "
        f"{content['device']}, {content['precision']}"
    )
    rows = [[check["place"], _saved_at(check["saved_at"]), _result(check)] for check in content["checks"]]
    header = ["stopped", "saved at", "resumed run"]
    if content["determinism"]:
        rows, header = [[place, result] for place, _, result in rows], ["run", "compared with the first"]
    out.print(table(title, header, rows, numbers_from=9))
    for text in content["left_out"]:
        out.print(f"[yellow]skipped[/]: {escape(text)}")
    folder = escape(min(os.path.relpath(content["folder"]), content["folder"], key=len))
    if content["equal"]:
        size = content["compared"]
        out.print(
            f"\n[bold green]bit-identical[/]: {size['tensors']:,} tensors with {size['numbers']:,} numbers, "
            f"{size['values']:,} other values and {size['rows']} rows of metrics.csv"
        )
    else:
        _show_difference(content, folder, command)
    out.print(f"\n  verdict  {folder}/verify.json")


def _show_difference(content: Mapping[str, Any], folder: str, command: str) -> None:
    """Print the first difference, the directories to inspect and the next command."""
    check = next(check for check in content["checks"] if not check["equal"])
    first = check["first_tensor"] or "{where}: {what}".format_map(check["differences"][0])
    out.print(f"\n[bold red]different[/] ({escape(check['place'])}): {escape(first)}")
    out.print(f"\n  kept     {folder}/whole and {folder}/{check['place'].replace(' ', '-')}")
    if not content["determinism"]:
        out.print(f"  next: check whether the run is deterministic with {escape(command)} --determinism")
    elif not content["deterministic"]:
        out.print("  next: repeat with deterministic=true")


def _saved_at(position: Mapping[str, int] | None) -> str:
    if position is None:
        return "before the first checkpoint"
    if position["batch"]:
        return f"update {position['step']}: epoch {position['epoch'] + 1}, batch {position['batch']}"
    return f"update {position['step']}: end of epoch {position['epoch']}"


def _result(check: Mapping[str, Any]) -> str:
    count = check["num_differences"]
    return "bit-identical" if check["equal"] else f"{count:,} difference{'s' if count > 1 else ''}"
