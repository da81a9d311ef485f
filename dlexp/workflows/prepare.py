"""An experiment at its beginning, with the weights that `init_from` names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dlexp.artifacts.checkpoint import read_checkpoint
from dlexp.artifacts.run_dir import named_run
from dlexp.assemble import Experiment, assemble
from dlexp.config.schema import RunConfig
from dlexp.engine.state import load_weights
from dlexp.errors import ConfigError, DlexpError


def prepared(config: RunConfig, trusted: Sequence[str]) -> Experiment:
    """Assemble `config` and put its initial weights in. Raises ConfigError when they are missing or do not fit."""
    initial = _initial_weights(config)
    experiment = assemble(config, trusted)
    if initial is not None:
        try:
            load_weights(experiment.networks, initial)
        except DlexpError as error:
            raise ConfigError.one(
                "init_from", str(config.init_from), str(error), "choose the model that it holds"
            ) from error
    return experiment


def _initial_weights(config: RunConfig) -> Any:
    """The weights that init_from names, before anything expensive is done. Raises ConfigError."""
    if config.init_from is None:
        return None
    path = Path(config.init_from)
    if not path.exists():
        path = named_run(config.init_from)
    if path.is_dir():
        path = next(
            (path / "checkpoints" / n for n in ("best.pt", "last.pt") if (path / "checkpoints" / n).is_file()), path
        )
    try:
        return read_checkpoint(path)["networks"]
    except DlexpError as error:
        raise ConfigError.one(
            "init_from", config.init_from, str(error), "name a run directory or a checkpoint in one"
        ) from error
