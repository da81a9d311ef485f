"""What is done to the words of a line before and after the parser sees them."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dlexp.cli.style import echo

_ALONE = ("--resume", "--plot-schedule")


@dataclass(frozen=True)
class Setting:
    """What commands share: the user's own configuration folders, trusted packages, and the line as typed."""

    config_dirs: tuple[Path, ...]
    trust: tuple[str, ...]
    command: str


def setting_of(config_dirs: list[Path] | None, trust: list[str] | None) -> Setting:
    """The words that every command has, and what the environment adds to them."""
    extra = os.environ.get("DLEXP_CONFIG_DIR")
    folders = (*(config_dirs or ()), *((Path(extra),) if extra else ()))
    return Setting(folders, tuple(trust or ()), shlex.join(["dlexp", *sys.argv[1:]]))


def with_empty_values(words: list[str]) -> list[str]:
    """Options that may stand alone (the newest unfinished run, the usual file) get the empty value the parser wants."""
    found = []
    for position, word in enumerate(words):
        following = words[position + 1] if position + 1 < len(words) else "-"
        alone = word in _ALONE and (following.startswith("-") or "=" in following)
        found += [word, ""] if alone else [word]
    return found


def typed_for_completion(environ: Mapping[str, str]) -> list[str]:
    """The words of a line on which TAB was pressed: a shell hands them over in the environment."""
    return [word for name in ("COMP_WORDS", "_TYPER_COMPLETE_ARGS") for word in environ.get(name, "").split()]


def hint_at_keys(words: list[str]) -> None:
    """`--lr 0.1` is what other tools want; say how it is written here."""
    from dlexp.config.check.suggest import all_paths
    from dlexp.config.files.catalog import Catalog  # here, because only a mistake needs it

    paths = list(all_paths(Catalog()))
    for word in words:
        name = word.partition("=")[0].removeprefix("--").replace("-", "_")
        found = [path for path in paths if path.rpartition(".")[2] == name] if word.startswith("--") else []
        if found:
            echo(f"Configuration keys have no dashes: {' or '.join(f'{path}=...' for path in found[:3])}", err=True)


def hint_at_multirun(words: list[str]) -> None:
    """`-m` belongs to training alone; say what the other commands have."""
    command = next((word for word in words if not word.startswith("-")), "")
    if command != "train" and {"-m", "--multirun"} & set(words):
        told = {
            "tune": "tune is the search: it tries the values of search.space by itself",
            "evaluate": "dlexp evaluate takes a run at a time, or a group of seeds",
        }
        reason = told.get(command, "it trains a grid, and nothing else does")
        echo(f"-m is a word of dlexp train: {reason}. A grid: dlexp train -m model=mlp,simple_cnn", err=True)
