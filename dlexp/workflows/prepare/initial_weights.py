"""An experiment with its initial weights, from `init_from` if given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from dlexp.artifacts.checkpoints.checkpoint import read_checkpoint
from dlexp.artifacts.files.reading import is_file, is_folder, is_there
from dlexp.artifacts.runs.run_dir import missing_run, named_run
from dlexp.artifacts.runs.run_files import read_run_file
from dlexp.assemble.experiment import Experiment, assemble
from dlexp.config.files.catalog import Catalog
from dlexp.config.schema.run import RunConfig
from dlexp.data.bundle import DataBundle
from dlexp.engine.state import load_weights
from dlexp.errors import ConfigError, DlexpError
from dlexp.networks.layers import parameters_by_layer
from dlexp.text.quoting import command

_NAMED = 10  # classes that a message names


def prepared(config: RunConfig, trusted: Sequence[str], bundle: DataBundle | None = None) -> Experiment:
    """Assemble `config` and load its initial weights; the notes of the experiment list what was loaded.

    Args:
        config: The configuration.
        trusted: Trusted packages.
        bundle: The data, None to read it.

    Raises:
        ConfigError: The weights are missing or incompatible.
    """
    found = _initial_weights(config)
    experiment = assemble(config, trusted, bundle)
    if found is None:
        return experiment
    path, initial, outputs = found
    heads = _check_classes(config, outputs, experiment.bundle.spec.output_names)
    taken = f"init_from={config.init_from}: {_take(path, initial, experiment)}{heads}"
    return replace(experiment, notes=(taken, *experiment.notes))


def _check_classes(config: RunConfig, before: Sequence[str], now: Sequence[str]) -> str:
    """A note on a last layer that was trained for other classes, "" if the classes match.

    Raises ConfigError for the same classes in another order, whose outputs would be confused.
    """
    if config.init_head == "new" or not before or not now or list(before) == list(now):
        return ""
    if sorted(before) == sorted(now):
        rule = f"has the classes {', '.join(before[:_NAMED])} in another order than the data: {', '.join(now[:_NAMED])}"
        raise ConfigError.one("init_from", str(config.init_from), rule, "Set init_head=new", code="incompatible-data")
    if len(before) != len(now):
        return ""
    trained = ", ".join(before[:_NAMED])
    return f"; the last layer was trained for the classes {trained}. Set init_head=new to initialize it randomly."


def _take(path: Path, initial: Mapping[str, Tensor], experiment: Experiment) -> str:
    """Load the weights of the file `path`, except for newly initialized layers; returns a summary.

    Raises ConfigError.
    """
    config, networks = experiment.config, experiment.networks
    own = networks.state_dict()
    fresh = _head(networks) if config.init_head == "new" else set()
    wanted = {name: value for name, value in initial.items() if name not in fresh}
    reshaped = [name for name in wanted if name in own and own[name].shape != wanted[name].shape]
    missing = [name for name in own if name not in wanted and name not in fresh]
    left = [name for name in wanted if name not in own]
    fitting = {name: value for name, value in wanted.items() if name in own and name not in reshaped}
    if not config.init_strict and not any(name in fitting for name, _ in networks.named_parameters()):
        rule = "has no weights with the same names and shapes as this model"
        raise ConfigError.one(
            "init_from",
            str(config.init_from),
            rule,
            "Select the model of this checkpoint.",
            code="incompatible-weights",
        )
    try:
        keep = fresh if config.init_strict else own.keys() - fitting.keys()
        load_weights(networks, (wanted if config.init_strict else fitting) | {name: own[name] for name in keep})
    except DlexpError as error:
        heads = _head(networks)
        only_head = not left and {*missing, *reshaped} <= heads
        remedy = "Set init_head=new" if only_head else "Select the model of this checkpoint, or set init_strict=false"
        if not (missing or reshaped or left):
            remedy = "Use another checkpoint."
        raise ConfigError.one(
            "init_from", str(config.init_from), f"{path.name}: {error}", remedy, code="incompatible-weights"
        ) from error
    named = {"missing": missing, "different shape": reshaped, "unused": left, "newly initialized": sorted(fresh)}
    listed = "; ".join(f"{what}: {', '.join(names)}" for what, names in named.items() if names)
    return f"{len(fitting)} of {len(own)} tensors loaded" + (f"; {listed}" if listed else "")


def _head(networks: nn.ModuleDict) -> set[str]:
    """The parameter names of the last layer of each network."""
    last = {id(parameter) for network in networks.values() for parameter in parameters_by_layer(network)[-1]}
    return {name for name, parameter in networks.named_parameters() if id(parameter) in last}


def _classes_at(path: Path) -> list[str]:
    """The classes, or names of regression targets, of the run with checkpoint `path`; [] if unknown."""
    meta = path.resolve().parent.parent / "meta.json"
    return [str(name) for name in read_run_file(meta).get("outputs", ())] if is_file(meta) else []


def _initial_weights(config: RunConfig) -> tuple[Path, Mapping[str, Tensor], list[str]] | None:
    """The file named by init_from, its weights and the classes that they were trained for.

    Raises ConfigError.
    """
    if config.init_from is None:
        return None
    path = Path(config.init_from)
    if not is_there(path):
        path = named_run(config.init_from)
    if not is_there(path):
        rule, remedy = missing_run(config.init_from, "init_from=")
        name = Path(config.init_from).name
        if name in Catalog().options("experiment"):
            remedy = f"Train it first: {command('train', '--run-id', name, f'experiment={name}')}"
        raise ConfigError.one("init_from", config.init_from, rule, remedy, code="not-found")
    if is_folder(path):
        saved = [path / "checkpoints" / name for name in ("best.pt", "last.pt")]
        path = next((file for file in saved if is_file(file)), path)
    try:
        state = read_checkpoint(path)
        return path, state.get("eval_weights", state["networks"]), _classes_at(path)
    except DlexpError as error:
        raise ConfigError.one(
            "init_from",
            config.init_from,
            str(error),
            "Name a run directory or a checkpoint in it.",
            code=error.code,
        ) from error
