"""The part of a generative model that is exported, such as a generator: noise in, samples out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from dlexp.errors import ConfigError
from dlexp.runtime.seed import generator
from dlexp.tasks.generative.base import ExportedPart, GenerativeTask
from dlexp.workflows.run_record.restore import RestoredRun


def exported_part(stored: RestoredRun, with_preprocessing: bool = False) -> ExportedPart | None:
    """The part that a task names, None for the whole network. Raises ConfigError for preprocessing of its input."""
    task = stored.experiment.task
    part = task.exported(dict(stored.experiment.networks.items())) if isinstance(task, GenerativeTask) else None
    if part is not None and with_preprocessing:
        rule = f"has no effect on task={stored.experiment.config.task.option}: its file takes noise, not data"
        remedy = "Remove --with-preprocessing."
        raise ConfigError.one("--with-preprocessing", "true", rule, remedy, code="no-effect")
    return part


def part_inputs(part: ExportedPart, sizes: Sequence[int], samples: Sequence[str]) -> Iterator[Tensor]:
    """Standard normal inputs to check the outputs on, a batch of each size. Raises ConfigError for given samples."""
    if samples:
        rule = "has no effect: the file takes noise, not data"
        raise ConfigError.one("--samples", samples[0], rule, "Remove --samples.", code="no-effect")
    for number, size in enumerate(sizes):
        yield torch.randn(size, *part.input_shape, generator=generator(0, "export", number))
