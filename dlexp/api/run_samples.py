"""Samples of a run in Python: those that a generative one makes, and predictions for those of the user."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from dlexp.api.arguments import DataArgument, Overrides, as_array, override_words
from dlexp.api.calls import explains_its_arguments
from dlexp.api.session import session, trusted_of_call
from dlexp.tasks.decoding.options import GenerationOptions
from dlexp.workflows.finished_run import check_checkpoint, evaluation_changes

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


class RunPredictions(ABC):
    """What a run, or an ensemble of runs that read the same data, predicts."""

    _trust: tuple[str, ...]

    @property
    @abstractmethod
    def path(self) -> Path:
        """The directory."""

    @property
    @abstractmethod
    def config(self) -> dict[str, Any]:
        """The configuration as nested plain values."""

    @explains_its_arguments
    def predict(
        self,
        data: object,
        *overrides: Overrides,
        checkpoint: str = "best",
        probabilities: bool = False,
        top: int = 0,
        ignore_extra: bool = False,
        allow_changes: bool = False,
        generation: Mapping[str, Any] | None = None,
        images: str | Path | None = None,
        tta: str | int | None = None,
    ) -> pd.DataFrame:
        """Predict samples, as `dlexp predict` does; the training data is not needed.

        Args:
            data: A DataFrame with the columns of training, an array (N, ...), files or directories. For a run that was
                trained on texts, a list of texts; one text alone would be the name of a file.
            overrides: Where and how fast, such as "data.eval_batch_size=16".
            checkpoint: best or last.
            probabilities, top: Add a column for every class, or so many of the most probable classes.
            ignore_extra: Ignore columns that training did not have.
            allow_changes: Use a run whose config.yaml was edited.
            generation: How sequences are put out, such as {"beam": 4}: fields of `GenerationOptions`.
            images: Folder in which the images that the run puts out are written as PNG.
            tta: Average over views of each image: flip, crop, crop_flip, or a number of views.

        Returns:
            A row per sample, with the index of a DataFrame. `error` says why a sample was not predicted, else it is
            None. Predictions of files have the columns `input` and `row` too.

        Raises:
            DataError: The data cannot be used at all.
        """
        folder = None if images is None else Path(images)
        columns = {"probabilities": probabilities, "top": top, "ignore_extra": ignore_extra, "images": folder}
        wanted = GenerationOptions.of(generation or {})
        return self.predicted_by(
            self.path, data, overrides, columns, checkpoint=checkpoint, allow_changes=allow_changes, generation=wanted,
            tta=tta,
        )  # fmt: skip

    def predicted_by(
        self,
        folder: Path,
        data: object,
        overrides: Sequence[Overrides],
        columns: Mapping[str, Any],
        *,
        checkpoint: str = "best",
        allow_changes: bool = False,
        generation: GenerationOptions | None = None,
        tta: str | int | None = None,
    ) -> pd.DataFrame:
        """The predictions of what is in `folder`, this run or an ensemble of runs that read the same data.

        columns  probabilities, top, ignore_extra and images, as for `predict`
        """
        check_checkpoint(checkpoint)
        wanted = generation or GenerationOptions()
        changes, given, words = evaluation_changes(override_words(overrides)), None, tuple[str, ...]()
        texts = self._texts(data)
        if texts is not None:
            data = texts
        elif isinstance(data, str | Path):
            words = (str(data),)
        elif isinstance(data, list | tuple) and data and all(isinstance(item, str | Path) for item in data):
            words = tuple(map(str, data))
        else:
            given = self._samples(data)
        with session():
            from dlexp.api.progress import Messages
            from dlexp.artifacts.files.row_writer import Collected
            from dlexp.workflows.predict.predict import predict_run
            from dlexp.workflows.predict.request import PredictRequest
            from dlexp.workflows.run_record.restore import RestoreOptions

            options = RestoreOptions(checkpoint, changes, trusted_of_call(self._trust), allow_changes)
            views = "" if tta is None else str(tta)
            request = PredictRequest(words, (), given=given, texts=texts or (), generation=wanted, tta=views, **columns)
            collected = Collected()
            predict_run(folder, request, options, collected, Messages().say)
        found = pd.DataFrame(collected.rows)
        if given is None:
            return found
        found = found.drop(columns=["input", "row"])
        return found.set_index(given.index) if isinstance(given, pd.DataFrame) else found

    def _texts(self, data: object) -> list[str] | None:
        """The texts of a list, Series or array of them, for a run that was trained on texts; None for other data."""
        if str(self.config["data"].get("_inputs_")) != "tokens" or isinstance(
            data, str | Path | pd.DataFrame | Mapping
        ):
            return None
        values = list(data) if isinstance(data, Iterable) else []
        return values if values and all(isinstance(value, str) for value in values) else None

    def _samples(self, data: object) -> Any:
        """Samples to predict: a DataFrame, or arrays by name."""
        if hasattr(data, "to_pandas"):
            data = data.to_pandas()
        if isinstance(data, pd.DataFrame):
            return data
        is_table = str(self.config["data"].get("_inputs_")) == "tabular"
        if is_table and (isinstance(data, Mapping) or (isinstance(data, list) and isinstance(data[:1], list))):
            rows = data if isinstance(data, Mapping) or all(isinstance(row, Mapping) for row in data) else None
            if rows is not None:
                return pd.DataFrame(rows)
        return (
            {name: as_array(values) for name, values in dict(data).items()}
            if isinstance(data, Mapping)
            else {"data": as_array(data)}
        )


def _texts(words: Sequence[str | int]) -> tuple[str, ...]:
    return tuple(map(str, words))
