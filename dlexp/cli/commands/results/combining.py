"""The options of an ensemble, a soup and views on the command line, checked before torch is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dlexp.cli import completion
from dlexp.cli.argv import common_options
from dlexp.errors import ConfigError, Problem

if TYPE_CHECKING:
    from dlexp.metrics.bootstrap import Resampling
    from dlexp.workflows.ensemble.request import CombineRequest

Views = Annotated[
    str | None,
    typer.Option(
        "--tta",
        metavar="VIEWS",
        help="average over views of each image: flip, crop, crop_flip, or a number that training's augmentation draws",
        autocompletion=completion.views,
    ),
]
AsOne = Annotated[
    bool, typer.Option("--ensemble", help="evaluate the networks of all runs, or of a group of seeds, as one")
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        help="with --ensemble: equal, or greedy or stacked, which are chosen on the validation split",
        autocompletion=completion.ensemble_weights,
    ),
]
Vote = Annotated[bool, typer.Option("--vote", help="with --ensemble: each network has a vote for a class")]
Calibrate = Annotated[
    bool, typer.Option("--calibrate", help="with --ensemble: use the temperature fitted on the validation split")
]
Snapshots = Annotated[
    bool, typer.Option("--snapshots", help="the networks are the snapshots of a run (trainer.snapshot_every)")
]
Soup = Annotated[
    str | None,
    typer.Option(
        "--soup",
        help="average the weights of the networks into a new run: uniform, or greedy by the validation split",
        autocompletion=completion.soups,
    ),
]
NewDirectory = Annotated[
    Path | None, typer.Option("--out", "-o", help="directory of the ensemble or of the averaged run; must be new")
]
Others = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        metavar="RUN",
        help="average with this run, group or ensemble too; repeatable",
        autocompletion=completion.runs,
    ),
]
_OF_SAMPLES = "is for generative runs, evaluated one by one"


def check_combining(
    names: Sequence[str],
    asked: Mapping[str, object],
    of_samples: Mapping[str, object],
    ways: tuple[bool, bool, str | None, str | None],
) -> None:
    """Raise ConfigError with all options that have no effect, or contradict each other.

    Args:
        names: Of runs.
        asked: Option of ensembles -> its value, None or False where it is not given.
        of_samples: The same of options of generative runs.
        ways: --ensemble, --snapshots, --soup and --tta.
    """
    ensemble, snapshots, soup, tta = ways
    is_combined = ensemble or snapshots or soup is not None
    problems = []
    if len(names) > 1 and not is_combined:
        rule = "is a second run, and this command takes one run, or several with --ensemble or --soup"
        remedy = "Add --ensemble, or repeat the command for each run"
        problems.append(Problem(names[1], "", rule, remedy, code="invalid-syntax"))
    if ensemble and soup is not None:
        rule = "cannot be combined with --ensemble: a soup is one network"
        problems.append(Problem("--soup", str(soup), rule, "Use one of the two.", code="cannot-combine"))
    for word, value in asked.items():
        if value and not is_combined:
            rule = "is for several networks"
            problems.append(Problem(word, _text(value), rule, "Add --ensemble", code="missing-requirement"))
    for word, value in of_samples.items():
        if value is not None and (is_combined or tta):
            problems.append(Problem(word, _text(value), _OF_SAMPLES, f"Remove {word}.", code="no-effect"))
    if problems:
        raise ConfigError(problems)


def folders_of(names: Sequence[str], is_combined: bool) -> list[Path]:
    """The directories of runs, groups, sweeps and ensembles. Raises ConfigError before torch is imported."""
    from dlexp.artifacts.runs.run_dir import RunDir, named_run
    from dlexp.artifacts.runs.run_tree import check_sweep, is_ensemble, is_group, is_sweep

    found = [named_run(name) for name in names]
    for folder in found:
        check_sweep(folder)
        is_study = is_combined and (folder / "study.json").is_file()  # whose refusal is that of ensembles
        if not is_group(folder) and not is_sweep(folder) and not is_ensemble(folder) and not is_study:
            RunDir.find(folder)
    return found


def averaged_folders(names: Sequence[str]) -> list[Path]:
    """The directories of runs, groups of seeds and ensembles. Raises ConfigError before torch is imported."""
    from dlexp.artifacts.runs.run_dir import RunDir, named_run
    from dlexp.artifacts.runs.run_tree import is_ensemble, is_group

    found = [named_run(name) for name in names]
    for folder in found:
        if not is_group(folder) and not is_ensemble(folder):
            RunDir.find(folder)
    return found


def check_view_words(words: str | None) -> None:
    """Raise ConfigError for words of --tta that mean no views; None is no such option."""
    if words is None:
        return
    from dlexp.data.augment.views import check_views

    check_views(words)


def combine_request(
    split: str,
    checkpoint: str,
    chosen: tuple[str, bool, bool, bool, str, str, Path | None],
    changes: Mapping[str, Any],
    trusted: tuple[str, ...],
    allow_changes: bool,
    resampling: Resampling,
    say: Callable[[str], None],
) -> CombineRequest:
    """The request of a command line; `chosen` are weights, vote, calibrate, snapshots, soup, tta and out."""
    from dlexp.workflows.ensemble.request import CombineRequest

    found = CombineRequest(
        *(split, checkpoint, *chosen, changes, trusted, allow_changes, resampling),
        *(common_options(None, None).command, say),
    )
    found.check()
    return found


def _text(value: object) -> str:
    return "" if value is True else str(value)
