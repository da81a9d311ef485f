"""Training in Python: the same runs as `dlexp train`, in the same directories, to the same bits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

from dlexp.api.arguments import DataArgument, Overrides, data_argument, override_words
from dlexp.api.calls import explains_its_arguments
from dlexp.api.run import Run
from dlexp.api.run_group import RunGroup
from dlexp.api.session import catalog_of, session, trusted_of_call
from dlexp.artifacts.files.new_folder import refuse_bad_name
from dlexp.artifacts.runs.run_dir import named_run, newest_unfinished
from dlexp.artifacts.runs.run_tree import is_group
from dlexp.errors import ConfigError
from dlexp.text.quoting import command, shell_word

if TYPE_CHECKING:
    from dlexp.config.files.catalog import Catalog
    from dlexp.config.schema.run import RunConfig
    from dlexp.workflows.train.train import Request


@overload
def train(
    *overrides: Overrides,
    data: object | None = None,
    target: object | None = None,
    seeds: None = None,
    run_id: str | None = None,
    run_dir: str | Path | None = None,
    config_dirs: Sequence[str | Path] = (),
    trust: Sequence[str] = (),
    progress: bool = True,
) -> Run:
    """Train a run."""


@overload
def train(
    *overrides: Overrides,
    data: object | None = None,
    target: object | None = None,
    seeds: int,
    stacked: bool = False,
    run_id: str | None = None,
    run_dir: str | Path | None = None,
    config_dirs: Sequence[str | Path] = (),
    trust: Sequence[str] = (),
    progress: bool = True,
) -> RunGroup:
    """Train a run for each of several seeds."""


@explains_its_arguments
def train(
    *overrides: Overrides,
    data: object | None = None,
    target: object | None = None,
    seeds: int | None = None,
    stacked: bool = False,
    run_id: str | None = None,
    run_dir: str | Path | None = None,
    config_dirs: Sequence[str | Path] = (),
    trust: Sequence[str] = (),
    progress: bool = True,
) -> Run | RunGroup:
    """Train a model and save it in a run directory, as `dlexp train` does.

    Args:
        overrides: Words of the command line such as "model=resnet18", or a dict such as {"optim.lr": 0.1}.
        data: A pandas DataFrame, of texts with the override "data.text=COLUMN"; a list of texts; NumPy arrays or torch
            tensors (x, y), or a dict of them by name; a file or directory;
            the name of an option such as "digits". None: what the overrides choose, else digits.
        target: The name of the column or array to predict, or the targets themselves (N,).
        seeds: Train this many runs, with the seeds seed, seed + 1, ...
        stacked: Train them together, as one network where their shapes allow; for small networks.
        run_id: The directory is outputs/train/ID; the run in it is resumed if it exists.
        run_dir: The directory of the run, None for a new one in outputs/train/.
        config_dirs: Directories of your own options.
        trust: Packages of your own that the configuration may import.
        progress: Show the progress: a bar in a notebook, otherwise lines on standard error.

    Returns:
        The run, or the group of runs with `seeds`.

    Raises:
        ConfigError: Mistakes in the arguments, all at once in `problems`; nothing was trained or written.
        DataError: The data cannot be used.
        Interrupted: Stopped by a signal such as Ctrl-C; the run can be resumed.
        DlexpError: Any other failure, such as Diverged or OutOfMemory.
    """
    catalog, words = catalog_of(config_dirs), override_words(overrides)
    argument = data_argument(data, target, words, catalog)
    typed, trusted = (*words, *argument.words), trusted_of_call(trust)
    _refuse(run_id, run_dir, seeds, stacked)
    _refuse_sweep(typed, seeds, catalog)
    with session(argument.given):
        from dlexp.config.compose import load as composed
        from dlexp.workflows.train.train import Request

        config = composed(typed, catalog)
        place = None if run_dir is None else Path(run_dir)
        request = Request(typed, (_call(typed, argument, seeds, stacked),), place, trusted)
        if seeds is None:
            return Run(_trained(config, request, run_id, progress), trust=trusted, data=argument.given)
        group = _trained_seeds(config, request, (seeds, stacked), run_id, progress)
        return RunGroup(group, trust=trusted, data=argument.given)


def _refuse(run_id: str | None, run_dir: str | Path | None, seeds: int | None, stacked: bool) -> None:
    """Raise ConfigError for arguments that are wrong or cannot be combined."""
    if run_id is not None and run_dir is not None:
        rule = "cannot be combined with run_dir: run_id names a directory and resumes the run in it"
        raise ConfigError.one("run_id", run_id, rule, "Remove one of the two.", code="cannot-combine")
    if seeds is not None and seeds < 1:
        raise ConfigError.one("seeds", seeds, "must be a whole number >= 1", code="out-of-range")
    if stacked and seeds is None:
        rule = "trains several runs together, and this is one run"
        raise ConfigError.one("stacked", stacked, rule, "Add seeds=10.", code="no-effect")
    if run_id is not None:
        refuse_bad_name("run_id", run_id)


def _refuse_sweep(words: Sequence[str], seeds: int | None, catalog: Catalog) -> None:
    """Raise ConfigError for an experiment that is a sweep: a call trains one configuration."""
    from dlexp.config.given.experiment_sweep import with_sweep_of_experiment

    axes = with_sweep_of_experiment(words, catalog, ("seed",) if seeds is not None else ()).axes
    if axes:
        name = next(word for word in reversed(words) if word.startswith("experiment="))
        rule = f"is a sweep over {', '.join(axes)}, and a call trains one configuration"
        remedy = f"Run it in a shell with {command('train', name)}, or give each of these keys a value."
        raise ConfigError.one("experiment", name.partition("=")[2], rule, remedy, code="not-supported")


def _trained(config: RunConfig, request: Request, run_id: str | None, progress: bool) -> str:
    """Train a run, or continue that of an ID; returns its directory."""
    from dlexp.api.progress import progress_of
    from dlexp.workflows.train.run_id import train_under_id
    from dlexp.workflows.train.train import train as workflow

    display = progress_of(progress)
    if run_id is None:
        return str(workflow(config, request, display)["run"])
    return str(train_under_id(config, request, run_id, display)["run"])


def _trained_seeds(
    config: RunConfig, request: Request, how: tuple[int, bool], run_id: str | None, progress: bool
) -> str:
    """Train several seeds; returns their directory. `how`: their number, and whether together."""
    from dlexp.api.progress import progress_of
    from dlexp.workflows.train.run_id import train_seeds_under_id
    from dlexp.workflows.train.seeds import train_seeds

    display, (seeds, stacked) = progress_of(progress), how
    if run_id is None:
        return str(train_seeds(config, request, seeds, display, is_stacked=stacked)["group"])
    return str(train_seeds_under_id(config, request, run_id, seeds, display, is_stacked=stacked)["group"])


@explains_its_arguments
def resume(
    run: str | Path | None = None,
    *overrides: Overrides,
    data: object | None = None,
    target: object | None = None,
    trust: Sequence[str] = (),
    progress: bool = True,
    allow_changes: bool = False,
) -> Run:
    """Continue a run, as `dlexp train --resume` does; see `Run.resume`.

    Args:
        run: A directory, a run ID or "latest"; None for the newest unfinished run.
        overrides: What may change, such as "trainer.epochs=20".
        data: The data again, if it was handed over.
        target: The targets, if `data` does not hold them.
        trust: Packages of your own that its configuration may import.
        progress: Show the progress.
        allow_changes: Resume even if code, package versions or hardware have changed.
    """
    found = Run(newest_unfinished().path, trust=trust) if run is None else load(run, trust=trust)
    return found.resume(*overrides, data=data, target=target, progress=progress, allow_changes=allow_changes)


@explains_its_arguments
def load(run: str | Path = "latest", *, trust: Sequence[str] = ()) -> Run:
    """The run of a directory, of a run ID, or the latest one.

    Args:
        run: A directory, the name of a directory in outputs/train/, or "latest".
        trust: Packages of your own that its configuration may import.

    Raises:
        ConfigError: There is no such run, or it is a group of seeds.
    """
    folder = named_run(str(run))
    if is_group(folder):
        remedy = f"Use dlexp.load_group({str(run)!r})"
        raise ConfigError.one("run", run, "is a group of seeds", remedy, code="incompatible-run")
    return Run(folder, trust=trust)


@explains_its_arguments
def load_group(group: str | Path, *, trust: Sequence[str] = ()) -> RunGroup:
    """The runs of a group of seeds; see `load`. Raises ConfigError if there is no such group."""
    return RunGroup(named_run(str(group)), trust=trust)


def _call(words: Sequence[str], argument: DataArgument, seeds: int | None, stacked: bool) -> str:
    """The call that trains this run, for command.txt; what was handed over is named by its type and shape."""
    if argument.given is None:
        more = [] if seeds is None else ["--seeds", str(seeds), *(("--stacked",) if stacked else ())]
        return " ".join(["dlexp train", *more, *map(shell_word, words)])
    content = "frame" if argument.words[0].endswith("dataframe") else "arrays"
    shown = [repr(word) for word in words if word not in argument.words[:1]]
    more = [] if seeds is None else [f"seeds={seeds}", *(("stacked=True",) if stacked else ())]
    return f"dlexp.train({', '.join([*shown, f'data={content}', *more])})"
