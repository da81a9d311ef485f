"""A group of runs that differ in the seed alone, in Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from dlexp.api.arguments import Given, Overrides
from dlexp.api.calls import explains_its_arguments
from dlexp.api.run import Run
from dlexp.api.tables import notebook_table
from dlexp.artifacts.runs.run_tree import members
from dlexp.errors import ConfigError
from dlexp.report.number_format import number

_OVER_SEEDS = {"mean": "mean", "std": "std", "n": "count"}


class RunGroup:
    """Runs that differ in the seed alone, as `train(seeds=N)` makes them.

    Args:
        path: The directory.
        trust: Packages of your own that the configuration may import.
        data: What was handed over to train them; None for data in files.
    """

    def __init__(self, path: str | Path, *, trust: Sequence[str] = (), data: Given | None = None) -> None:
        self._path = Path(path)
        self._runs = tuple(Run(member, trust=trust, data=data) for member in members(self._path))
        if not self._runs:
            rule = "not a group of seeds"
            raise ConfigError.one(str(path), "", rule, "Use dlexp.load for a single run.", code="incompatible-run")

    @property
    def path(self) -> Path:
        """The directory."""
        return self._path

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs, by seed."""
        return self._runs

    @property
    def metrics(self) -> pd.DataFrame:
        """A row per run, its seed as the index: the metrics of `Run.best`."""
        seeds = [run.config["seed"] for run in self._runs]
        return pd.DataFrame([run.best for run in self._runs], index=pd.Index(seeds, name="seed"))

    @property
    def over_seeds(self) -> pd.DataFrame:
        """A row per metric: mean, std (n - 1), n."""
        return pd.DataFrame({name: getattr(self.metrics, how)() for name, how in _OVER_SEEDS.items()})

    @explains_its_arguments
    def evaluate(
        self,
        *overrides: Overrides,
        split: str = "test",
        data: object | None = None,
        samples: int | None = None,
        steps: int | None = None,
        guidance: float | None = None,
    ) -> pd.DataFrame:
        """Evaluate every run on a split; returns their metrics, a row per run, its seed as the index.

        Args:
            overrides: Where and how fast, such as "trainer.device=cpu".
            split: train, val or test.
            data: The data again, if it was handed over in another session.
            samples: Samples of generative runs that are measured, None for as many as in training; 0 for none.
            steps: Denoising steps of these samples, None for those of the task.
            guidance: Strength of classifier-free guidance, None for that of the task.
        """
        results = [
            run.evaluate(*overrides, split=split, data=data, samples=samples, steps=steps, guidance=guidance)
            for run in self._runs
        ]
        found = [dict(result.metrics) for result in results]
        return pd.DataFrame(found, index=self.metrics.index)

    def __repr__(self) -> str:
        return f"RunGroup({str(self._path)!r}, {len(self._runs)} runs)"

    def _repr_html_(self) -> str:
        rows = [
            (str(name), *(number(str(name), row[key]) for key in ("mean", "std")), str(int(row["n"])))
            for name, row in self.over_seeds.iterrows()
        ]
        return notebook_table(f"{len(self._runs)} seeds, {self._path}", rows, ("metric", "mean", "std", "n"))
