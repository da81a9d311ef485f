"""What commands that train have in common: their words, the configuration that these describe, and whom they trust."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlexp.cli.argv import Setting
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError

if TYPE_CHECKING:
    from dlexp.config.derive import Change
    from dlexp.config.schema.run import RunConfig


@dataclass(frozen=True)
class TrainWords:
    """The words of `dlexp train`. `resume` is "" for the newest unfinished run."""

    overrides: tuple[str, ...]
    resume: str | None
    from_run: str | None
    seeds: int | None
    run_dir: Path | None
    dry_run: bool
    allow_changes: bool
    run_id: str | None = None
    multirun: bool = False
    jobs: int = 1


def configuration(
    overrides: tuple[str, ...], from_run: str | None, catalog: Catalog
) -> tuple[RunConfig, tuple[str, ...], Sequence[Change] | None]:
    """(configuration, words that describe it, changes against the run that is repeated)."""
    from dlexp.config.compose import load

    if from_run is None:
        return load(overrides, catalog), overrides, None
    from dlexp.artifacts.runs.run_dir import RunDir, named_run
    from dlexp.config.derive import repeat
    from dlexp.config.saved import read_overrides

    run = RunDir.find(_winner(named_run(from_run)))
    config, changes = repeat(run.path, overrides, catalog)
    return config, (*read_overrides(run / "overrides.yaml"), *overrides), changes


def _winner(path: Path) -> Path:
    """The best trial of a study, for the study's directory; any other path as it is."""
    from dlexp.artifacts.files.reading import is_file
    from dlexp.artifacts.runs.run_files import read_run_file

    if not is_file(path / "study.json"):
        return path
    best = read_run_file(path / "study.json").get("best")
    if best is None:
        raise ConfigError.one(str(path), "", "is a study in which no trial gave a value", code="no-result")
    return path / str(best.get("folder", ""))


def trusted_of(setting: Setting) -> tuple[str, ...]:
    """The packages that the line and DLEXP_TRUST name."""
    from dlexp.config.nodes import trusted_packages

    return trusted_packages(setting.trust)


def means_sweep(words: TrainWords) -> bool:
    """Whether the words are of a grid: `-m`, or a `--resume` that names a sweep, or a run that is a cell of one.

    Raises ConfigError for `--jobs` without a grid.
    """
    if words.multirun:
        return True
    if words.resume is None and words.jobs > 1:
        raise ConfigError.one(
            "--jobs", words.jobs, "is how many cells of a sweep run side by side", "add -m", code="missing-requirement"
        )
    return words.resume is not None and resumed_sweep(words.resume) is not None


def resumed_sweep(name: str) -> Path | None:
    """The sweep that `--resume` means, None where it means a run."""
    from dlexp.artifacts.runs.run_dir import named_run, newest_unfinished
    from dlexp.artifacts.runs.run_tree import is_sweep

    folder = named_run(name) if name else newest_unfinished().path.parent
    return folder if is_sweep(folder) else None
