"""Weights & Biases: a folder to be synchronised later (offline), or the service."""

from __future__ import annotations

import importlib
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dlexp.loggers.relay import Card, Row

_CONNECT_SECONDS = 10.0  # also what the end of the process may wait for a service that does not answer


class Wandb:
    """A run of a project: the configuration when it begins, metrics by update, the summary and exit code at the end."""

    def __init__(self, card: Card, project: str, entity: str | None, mode: str) -> None:
        """mode  offline or online"""
        self._card, self._project, self._entity, self._mode = card, project, entity, mode
        self._run: Any = None

    def open(self, remember: Callable[[str], None]) -> None:
        """Begin a run, or go on with the one that is remembered."""
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
            x_disable_meta=True,  # the command line and the environment's names are the run's own files' business
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
        """A row of history each, by update."""
        for step, values in rows:
            self._run.log({**values, "step": step})

    def close(self, end: str, results: Mapping[str, float]) -> None:
        """The results as the summary; an exit code of 1 unless the run is finished."""
        self._run.summary.update({f"best/{name}": value for name, value in results.items()} | {"state": end})
        self._run.finish(exit_code=0 if end == "finished" else 1)
