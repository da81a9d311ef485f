"""Preparation of the command line before parsing, and hints after a usage error."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dlexp.cli.style import echo

_ALONE = ("--resume", "--plot-schedule")


@dataclass(frozen=True)
class CommonOptions:
    """Options of all commands: configuration directories, trusted packages, and the command line as typed."""

    config_dirs: tuple[Path, ...]
    trust: tuple[str, ...]
    command: str


def common_options(config_dirs: list[Path] | None, trust: list[str] | None) -> CommonOptions:
    """The options of all commands, completed from the environment."""
    from dlexp.config.files.own_folders import own_folders  # for a command that runs, and not for help

    return CommonOptions(own_folders(config_dirs or ()), tuple(trust or ()), shlex.join(["dlexp", *sys.argv[1:]]))


def with_empty_values(argv: list[str]) -> list[str]:
    """The command line with "" after options whose value is optional, as the parser requires."""
    found = []
    for position, argument in enumerate(argv):
        following = argv[position + 1] if position + 1 < len(argv) else "-"
        alone = argument in _ALONE and (following.startswith("-") or "=" in following)
        found += [argument, ""] if alone else [argument]
    return found


def argv_for_completion(environ: Mapping[str, str]) -> list[str]:
    """The command line to complete, which a shell passes in the environment."""
    return [argument for name in ("COMP_WORDS", "_TYPER_COMPLETE_ARGS") for argument in environ.get(name, "").split()]


def hint_at_runs(argv: list[str]) -> None:
    """Print how runs are listed and deleted, after a guess such as `dlexp runs delete`."""
    meant = {"list": "dlexp runs", "ls": "dlexp runs", "delete": "dlexp runs rm", "remove": "dlexp runs rm"}
    if argv[:1] == ["runs"] and argv[1:2] and argv[1] in meant:
        echo(f"Did you mean {meant[argv[1]]}?", err=True)
