"""The part of a generative model that is exported, such as a generator: noise in, samples out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch

from dlexp.errors import ConfigError
from dlexp.runtime.seed import generator
from dlexp.tasks.generative.base import ExportedPart, GenerativeTask
from dlexp.types import Field
from dlexp.workflows.run_record.restore import RestoredRun


def exported_part(stored: RestoredRun, with_preprocessing: bool = False) -> ExportedPart | None:
    """The part that a task names, None for the whole network. Raises ConfigError for preprocessing of its input."""
    task = stored.experiment.task
    part = task.exported(dict(stored.experiment.networks.items())) if isinstance(task, GenerativeTask) else None
    if part is not None and with_preprocessing:
        rule = (
            f"has no effect on task={stored.experiment.config.task.option}: its file does not take samples of the data"
        )
        remedy = "Remove --with-preprocessing."
        raise ConfigError.one("--with-preprocessing", "true", rule, remedy, code="no-effect")
    return part


def part_inputs(part: ExportedPart, sizes: Sequence[int], samples: Sequence[str]) -> Iterator[Field]:
    """Standard normal inputs to check the outputs on, a batch of each size. Raises ConfigError for given samples."""
    if samples:
        rule = "has no effect: the file does not take samples of the data"
        raise ConfigError.one("--samples", samples[0], rule, "Remove --samples.", code="no-effect")
    for number, size in enumerate(sizes):
        source, shapes = generator(0, "export", number), part.input_shape
        if isinstance(shapes, Mapping):
            yield {name: torch.randn(size, *shape, generator=source) for name, shape in shapes.items()}
        else:
            yield torch.randn(size, *shapes, generator=source)
