"""The part of a generative model that is exported: a generator, a decoder, a denoiser."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from dlexp.errors import ConfigError, Problem
from dlexp.runtime.seed import generator
from dlexp.tasks.generative.base import ExportedPart, GenerativeTask
from dlexp.workflows.run_record.restore import RestoredRun


def generative_part(stored: RestoredRun, with_preprocessing: bool, has_samples: bool) -> ExportedPart | None:
    """The part of the task's own; None where the network called model is exported.

    Raises ConfigError for options that need inputs of the data, which the part does not take.
    """
    task = stored.experiment.task
    part = task.exported(dict(stored.experiment.networks.items())) if isinstance(task, GenerativeTask) else None
    if part is None:
        return None
    given = {"--with-preprocessing": with_preprocessing, "--samples": has_samples}
    names = ", ".join(part.example(1, generator(0, "export")))
    rule = f"is not supported for task={stored.experiment.config.task.option}: the file takes {names}"
    problems = [
        Problem(name, "", rule, f"Remove {name}", code="not-supported", typed=(name,))
        for name, on in given.items()
        if on
    ]
    if problems:
        raise ConfigError(problems)
    return part


def part_batches(part: ExportedPart, sizes: Sequence[int]) -> Iterator[dict[str, Tensor]]:
    """A batch of random arguments of each size."""
    for number, size in enumerate(sizes):
        yield part.example(size, generator(0, "export", number))
