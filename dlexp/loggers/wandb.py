"""Logging to Weights & Biases: the service, or a directory to be synchronized later (offline)."""

from __future__ import annotations

import importlib
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dlexp.loggers.relay import Card, Row

_CONNECT_SECONDS = 10.0  # also the wait at the end of the process for a service that does not respond


class Wandb:
    """A Weights & Biases run: configuration at the start, metrics by update, summary and exit code at the end.

    Args:
        card: Description of the run.
        project: Name of the project.
        entity: User or team, None for the default.
        mode: offline or online.
    """

    def __init__(self, card: Card, project: str, entity: str | None, mode: str) -> None:
        self._card, self._project, self._entity, self._mode = card, project, entity, mode
        self._run: Any = None

    def open(self, remember: Callable[[str], None]) -> None:
        """Create the run, or resume the one of `card.identity`."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        wandb: Any = importlib.import_module("wandb")
        identity = self._card.identity or secrets.token_hex(4)
        remember(identity)
        settings = wandb.Settings(
            console="off",
            silent=True,
            init_timeout=_CONNECT_SECONDS,
            disable_git=True,
            disable_code=True,
            x_disable_meta=True,  # command line and environment are in the files of the run
            x_disable_stats=True,
        )
        self._run = wandb.init(
            project=self._project,
            entity=self._entity,
            mode=self._mode,
            dir=self._card.folder,
            id=identity,
            resume="allow",
            reinit="create_new",
            name=self._card.name,
            config={**self._card.params, **{f"tags.{key}": value for key, value in self._card.tags.items()}},
            settings=settings,
        )
        self._run.define_metric("*", step_metric="step")

    def write(self, rows: Sequence[Row]) -> None:
        """Log a row of history for each update."""
        for step, values in rows:
            self._run.log({**values, "step": step})

    def close(self, end: str, results: Mapping[str, float]) -> None:
        """Write the results as the summary; the exit code is 1 unless the run is finished."""
        self._run.summary.update({f"best/{name}": value for name, value in results.items()} | {"state": end})
        self._run.finish(exit_code=0 if end == "finished" else 1)
