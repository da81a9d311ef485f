"""A smaller network of a run in Python."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from dlexp.api.arguments import DataArgument, Overrides, override_words
from dlexp.api.calls import explains_its_arguments
from dlexp.api.results import CompressionResult
from dlexp.api.session import catalog_of, session, trusted_of_call
from dlexp.workflows.compress.request import CompressRequest, check_request, steps_of


class Compressions(ABC):
    """What makes the network of a run smaller."""

    _trust: tuple[str, ...]

    @property
    @abstractmethod
    def path(self) -> Path:
        """The directory."""

    @abstractmethod
    def _data_of(self, data: object | None, target: object | None) -> DataArgument:
        """The data for a workflow that uses that of the run."""

    @abstractmethod
    def _of(self, path: Path, argument: DataArgument) -> Self:
        """Another run, trained on the same data."""

    @explains_its_arguments
    def compress(
        self,
        *overrides: Overrides,
        prune: float | Sequence[float] | None = None,
        scope: str = "layer",
        structured: bool = False,
        norm: str = "l2",
        gradual: bool = False,
        low_rank: float | None = None,
        rank_by: str = "size",
        quantize: str | None = None,
        epochs: int = 0,
        baseline: bool = False,
        split: str = "val",
        metric: str | None = None,
        checkpoint: str = "best",
        onnx: bool = False,
        repeats: int = 100,
        run_dir: str | Path | None = None,
        data: object | None = None,
        target: object | None = None,
        progress: bool = True,
        allow_changes: bool = False,
    ) -> CompressionResult[Self]:
        """Make the network smaller in a new run, as `dlexp compress` does; the steps are prune, low_rank, quantize.

        Args:
            overrides: Of the fine-tuning, such as "optim.lr=1e-4".
            prune: Share of the weights that become zero, or of the channels that go; several make a run each.
            scope: layer: the same share of each layer; global: the smallest of all.
            structured, norm: Remove whole channels and units, those of the smallest l1 or l2 norm.
            gradual: The sparsity grows over the first half of the epochs.
            low_rank: Replace layers by two of a smaller rank, of this share.
            rank_by: size, share of the weights; or energy, of the squared singular values.
            quantize: 8-bit integers: dynamic, static or int8, which is static.
            epochs: Of fine-tuning.
            baseline: Train the compressed structure from random weights too.
            split: val or test, on which both networks are measured.
            metric: Of the comparison, None for that of the task.
            checkpoint: best or last.
            onnx, repeats: Time onnxruntime too; timed calls of each network, 0 for no times.
            run_dir: The directory of the new run, None for a new one in outputs/compress/.
            data, target: The data again, if it was handed over in another session, and its targets.
            progress: Show the progress of the fine-tuning.
            allow_changes: Use a run whose config.yaml was edited, or whose data have changed.

        Raises:
            ConfigError: A wrong argument, or a network that cannot be taken apart, with the layer that is in the way.
        """
        how = {"scope": scope, "is_structured": structured, "norm": norm, "is_gradual": gradual}
        steps = steps_of(prune, how, low_rank, rank_by, quantize)
        argument = self._data_of(data, target)
        words = override_words(overrides)
        call = f"dlexp.load({str(self.path)!r}).compress({', '.join(map(repr, words))})"
        request = CompressRequest(
            tuple(steps), epochs, baseline, split, checkpoint, repeats, onnx, metric, (*words, *argument.words),
            (call,), None if run_dir is None else Path(run_dir), trusted_of_call(self._trust), allow_changes,
        )  # fmt: skip
        check_request(request)
        return self._compressed(request, argument, progress)

    def _compressed(self, request: CompressRequest, argument: DataArgument, progress: bool) -> CompressionResult[Self]:
        """Compress the run with a checked request."""
        with session(argument.given):
            from dlexp.api.progress import progress_of
            from dlexp.config.derive import repeat
            from dlexp.workflows.compress.compress import compress

            config, changes = repeat(self.path, request.overrides, catalog_of(()))
            content = compress(self.path, config, request, progress_of(progress), tuple(changes))
        found = content.get("strengths", [content])
        return CompressionResult(tuple(self._of(Path(each["run"]), argument) for each in found), content)
