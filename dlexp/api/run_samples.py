"""Samples of a generative run in Python, as arrays and tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from dlexp.api.arguments import DataArgument, Overrides, override_words
from dlexp.api.calls import explains_its_arguments
from dlexp.api.session import session, trusted_of_call
from dlexp.workflows.finished_run import evaluation_changes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dlexp.workflows.sample.request import SampleRequest


class RunSamples(ABC):
    """What a run can do if its task is a generative one."""

    _trust: tuple[str, ...]

    @property
    @abstractmethod
    def path(self) -> Path:
        """The directory."""

    @abstractmethod
    def _data_of(self, data: object | None, target: object | None) -> DataArgument: ...

    @explains_its_arguments
    def sample(
        self,
        *overrides: Overrides,
        count: int | None = None,
        seed: int = 0,
        first: int = 0,
        classes: Sequence[str | int] = (),
        guidance: float | None = None,
        steps: int | None = None,
        interpolate: int | None = None,
        between: Sequence[str | int] = (),
        reconstruct: bool = False,
        traverse: int | str | None = None,
        rows: Sequence[int] = (),
        split: str | None = None,
        checkpoint: str = "best",
        out: str | Path | None = None,
        data: object | None = None,
        target: object | None = None,
        allow_changes: bool = False,
    ) -> NDArray[Any] | pd.DataFrame:
        """Make samples, as `dlexp sample` does; nothing is written unless `out` is given.

        Args:
            overrides: Where and how fast, such as "trainer.device=cpu".
            count: Samples, or rows of a picture; None for about 64, or 8 rows.
            seed: Of the noise.
            first: Number of the first sample; sample K of a seed is always the same.
            classes: Names or numbers of classes, in turn; () for all.
            guidance: Strength of classifier-free guidance, None for that of the task.
            steps: Denoising steps, None for those of the task.
            interpolate: Go from one sample to another in so many steps.
            between: With `interpolate`, two classes; () for two noises.
            reconstruct: Reconstruct samples of the data.
            traverse: Vary this latent, counted from 0, or "all" of them, from -3 to 3 deviations.
            rows: Numbers of samples of the data to reconstruct, or pairs of them to interpolate between.
            split: Where they are: train, val or test; None for val.
            checkpoint: best or last.
            out: Directory for the files that `dlexp sample` writes.
            data: The data again, for reconstructions of a run whose data was handed over in another session.
            target: The targets, if `data` does not hold them.
            allow_changes: Use a run whose config.yaml was edited, or whose data have changed.

        Returns:
            A DataFrame of tables; else (N, *shape) as the data is, pixels 0 to white. Reconstructions: (N, 2, *shape),
            the original first, interpolations and traversals (rows, steps, *shape). Raises ConfigError, DataError.
        """
        from dlexp.workflows.sample.request import SampleRequest

        latent, folder = None if traverse is None else str(traverse), None if out is None else Path(out)
        request = SampleRequest(
            *(count, seed, first, _texts(classes), guidance, steps, interpolate, _texts(between), reconstruct),
            *(latent, tuple(rows), split, checkpoint, folder),
            trusted=trusted_of_call(self._trust),
            allow_changes=allow_changes,
        )
        return self._sampled(request, override_words(overrides), self._data_of(data, target))

    def _sampled(
        self, request: SampleRequest, words: Sequence[str], argument: DataArgument
    ) -> NDArray[Any] | pd.DataFrame:
        """The samples of a request, with overrides and data of the call."""
        request = replace(request, changes=evaluation_changes([*words, *argument.words]))
        with session(argument.given):
            from dlexp.artifacts.runs.run_dir import RunDir
            from dlexp.workflows.sample.files import sample_columns, shaped, write_samples
            from dlexp.workflows.sample.request import check_request
            from dlexp.workflows.sample.sample import make_samples

            check_request(request)
            made = make_samples(RunDir.find(self.path), request)
            units = made.maker.units
            if request.out is not None:
                write_samples(request.out, request.mode, units, made.values, made.plan, made.content)
            if units.is_table:
                return pd.DataFrame(sample_columns(units, made.values, made.plan))
            return shaped(made.values, made.plan)


def _texts(words: Sequence[str | int]) -> tuple[str, ...]:
    return tuple(map(str, words))
