"""Arguments, configuration and trusted packages, shared by the commands that train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlexp.cli.argv import CommonOptions
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError
from dlexp.text.quoting import command

if TYPE_CHECKING:
    from dlexp.config.derive import Change
    from dlexp.config.schema.run import RunConfig


@dataclass(frozen=True)
class TrainArguments:
    """The arguments of `dlexp train`. `resume` is "" for the newest unfinished run."""

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
    config_files: tuple[Path, ...] = ()
    is_stacked: bool = False


def configuration(
    overrides: tuple[str, ...], from_run: str | None, catalog: Catalog
) -> tuple[RunConfig, tuple[str, ...], Sequence[Change] | None]:
    """(configuration, its overrides, changes relative to the run `from_run`, None without one)."""
    from dlexp.config.compose import load

    if from_run is None:
        return load(overrides, catalog), overrides, None
    from dlexp.artifacts.files.format_number import refuse_other_run_format
    from dlexp.artifacts.runs.run_dir import RunDir, named_run
    from dlexp.config.derive import repeat
    from dlexp.config.saved import read_overrides

    refuse_file(from_run)
    run = RunDir.find(_winner(named_run(from_run)))
    refuse_other_run_format(run.path)
    config, changes = repeat(run.path, overrides, catalog)
    return config, (*read_overrides(run / "overrides.yaml"), *overrides), changes


def refuse_file(name: str, where: str = "--from", verb: str = "train") -> None:
    """Raise ConfigError for the name of a configuration file where a run is named.

    Args:
        name: The run, as typed.
        where: The option or argument.
        verb: The command.
    """
    path = Path(name)
    if path.suffix.lower() not in (".yaml", ".yml", ".json"):
        return
    rule = f"is a configuration file; {where} names a run, whose saved values and words are repeated"
    remedy = f"Compose the file: {command(verb, '--config', path)}"
    if path.name == "config.yaml" and (path.parent / "status.json").is_file():
        run = ("--from", path.parent) if where == "--from" else (path.parent,)
        remedy += f", or repeat its run: {command(verb, *run)}"
    raise ConfigError.one(where, name, rule, remedy, code="invalid-value")


def words_of(
    overrides: Sequence[str] | None, files: Sequence[Path] | None, catalog: Catalog, base: str = ""
) -> tuple[str, ...]:
    """The overrides of the files of --config, then those of the line.

    Args:
        overrides: The words of the line.
        files: The files.
        catalog: The available options.
        base: The option that names a run whose configuration is changed, such as --from; "" for the defaults.
    """
    if not files:
        return tuple(overrides or ())
    from dlexp.config.given.overrides import with_files

    return with_files(files, tuple(overrides or ()), catalog, base)


def catalog_of(common: CommonOptions) -> Catalog:
    """The options of the user and of dlexp, with the packages that they may call."""
    from dlexp.config.nodes import trusted_names

    return Catalog(common.config_dirs, trusted_names(common.trust))


def _winner(path: Path) -> Path:
    """The best trial of a study for the directory of a study; any other path unchanged."""
    from dlexp.artifacts.files.reading import is_file
    from dlexp.artifacts.runs.run_files import read_run_file

    if not is_file(path / "study.json"):
        return path
    best = read_run_file(path / "study.json").get("best")
    if best is None:
        raise ConfigError.one(str(path), "", "no trial of this study has a result", code="no-result")
    return path / str(best.get("folder", ""))


def trusted_of(common: CommonOptions) -> tuple[str, ...]:
    """The packages named by --trust and DLEXP_TRUST."""
    from dlexp.config.nodes import trusted_packages

    return trusted_packages(common.trust)


def is_sweep_command(arguments: TrainArguments) -> bool:
    """Return whether the command runs a sweep: with `-m`, or with `--resume` of a sweep or of a run in one.

    Raises:
        ConfigError: `--jobs` without a sweep.
    """
    if arguments.multirun:
        return True
    if arguments.resume is None and arguments.jobs > 1:
        raise ConfigError.one("--jobs", arguments.jobs, "requires a sweep", "Add -m.", code="missing-requirement")
    return arguments.resume is not None and resumed_sweep(arguments.resume) is not None


def resumed_sweep(name: str) -> Path | None:
    """The directory of the sweep that `--resume` names, None if it names a single run."""
    from dlexp.artifacts.runs.run_dir import named_run, newest_unfinished
    from dlexp.artifacts.runs.run_tree import is_sweep

    folder = named_run(name) if name else newest_unfinished().path.parent
    return folder if is_sweep(folder) else None
