"""What can be asked about a run that was trained: what is wrong with it, and what its outputs depend on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from operator import index
from pathlib import Path
from typing import Any

from dlexp.api.arguments import DataArgument, Overrides, override_words
from dlexp.api.calls import explains_its_arguments
from dlexp.api.results import DoctorResult, ExplainResult
from dlexp.api.session import catalog_of, session, trusted_of_call
from dlexp.errors import ConfigError, Problem
from dlexp.workflows.explain.request import ExplainRequest, check_request
from dlexp.workflows.finished_run import evaluation_changes


class Examinations(ABC):
    """The examinations of a run."""

    _trust: tuple[str, ...]

    @property
    @abstractmethod
    def path(self) -> Path:
        """The directory."""

    @abstractmethod
    def _data_of(self, data: object | None, target: object | None) -> DataArgument:
        """The data for a workflow that uses that of the run."""

    @explains_its_arguments
    def doctor(
        self,
        *overrides: Overrides,
        data: object | None = None,
        target: object | None = None,
        progress: bool = True,
        allow_changes: bool = False,
    ) -> DoctorResult:
        """Find what is wrong and what mends it, as `dlexp doctor` does; writes doctor.json.

        Args:
            overrides: Where and how fast, such as "trainer.device=cpu".
            data: The data again, if it was handed over in another session.
            target: The targets, if `data` does not hold them.
            progress: Show what is being measured.
            allow_changes: Examine a run whose config.yaml was edited.
        """
        argument = self._data_of(data, target)
        changes = evaluation_changes([*override_words(overrides), *argument.words])
        with session(argument.given):
            from dlexp.api.progress import say_of
            from dlexp.workflows.doctor.doctor import doctor_run
            from dlexp.workflows.doctor.examine import ExamineRequest, typed_options

            say, options = say_of(progress), typed_options((), self._trust)
            request = ExamineRequest(changes, trusted_of_call(self._trust), allow_changes, options=options, say=say)
            return DoctorResult(doctor_run(self.path, catalog_of(()), request))

    @explains_its_arguments
    def explain(
        self,
        *overrides: Overrides,
        rows: int | Sequence[int] = (),
        method: str = "occlusion",
        split: str = "val",
        checkpoint: str = "best",
        output: str = "predicted",
        baseline: str = "mean",
        count: int = 8,
        checks: int = 100,
        steps: int = 64,
        window: int | None = None,
        data: object | None = None,
        target: object | None = None,
        allow_changes: bool = False,
    ) -> ExplainResult:
        """Explain outputs: which pixels, columns or steps they depend on, as `dlexp explain` does; writes explain/.

        Args:
            overrides: Where and how fast, such as "trainer.device=cpu".
            rows: Numbers of samples, as in the column `row` of predictions; none for the worst mistakes.
            method: occlusion, integrated_gradients, gradient_x_input, saliency, smoothgrad, gradcam, attention,
                shapley, or permutation for the columns of a table over a whole split.
            split: train, val or test. Looking at the test split is logged as an evaluation of it.
            checkpoint: best or last.
            output: What is explained: predicted, true, or the name of a class or value.
            baseline: What stands for an absent value: mean of the training data, or zero.
            count: How many of the worst mistakes are explained, at most 32.
            checks: Samples that the method is checked with, at least 2; 0 for no checks.
            steps: Of integrated gradients.
            window: Side in pixels of what occlusion hides; None for an eighth of the shorter side.
            data: The data again, if it was handed over in another session.
            target: The targets, if `data` does not hold them.
            allow_changes: Explain a run whose config.yaml was edited, or whose data has changed.

        Raises:
            ConfigError: A wrong argument, or data that must be handed over again.
            NotExplained: The method cannot explain this network; the message names one that can.
            DataError: The data has changed.
        """
        argument = self._data_of(data, target)
        changes = evaluation_changes([*override_words(overrides), *argument.words])
        with session(argument.given):
            request = ExplainRequest(
                method, _numbers(rows), split, checkpoint, output, baseline, count, checks, steps, window,
                changes, trusted_of_call(self._trust), allow_changes,
            )  # fmt: skip
            check_request(request)
            from dlexp.workflows.explain.explain import explain_run

            found = explain_run(self.path, request)
        return ExplainResult(Path(found["folder"]), method, found)


def _numbers(rows: object) -> tuple[int, ...]:
    """Numbers of samples. Raises ConfigError for all that are none."""
    as_list = getattr(rows, "tolist", None)  # of an array, or a column of a DataFrame
    content: Any = rows if as_list is None else as_list()
    given = list(content) if isinstance(content, list | tuple | range) else [content]
    wrong, found = [], []
    for one in given:
        try:
            found.append(index(one))
        except TypeError:
            rule, remedy = "must be the number of a sample", "Use whole numbers, such as rows=[12, 40]."
            wrong.append(Problem("rows", repr(one), rule, remedy, code="invalid-type"))
    if wrong:
        raise ConfigError(wrong)
    return tuple(found)
