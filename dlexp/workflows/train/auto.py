"""Resolution of `auto` values before training: the batch size, then the learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dlexp.config.check.batch_size import AUTO, is_auto
from dlexp.config.schema.run import RunConfig
from dlexp.config.typed import with_placeholder_rate, with_values
from dlexp.workflows.lr_find.lr_find import resolve_learning_rate
from dlexp.workflows.lr_find.result import Findings, write_findings
from dlexp.workflows.prepare.batch_size import FoundBatch, placeholder_batch_size, resolve_batch_size
from dlexp.workflows.reporter import Reporter


@dataclass(frozen=True)
class ResolvedAuto:
    """The resolved batch size and learning rate, None for values that were given."""

    batch: FoundBatch | None
    rate: Findings | None

    def write(self, folder: Path, config: RunConfig) -> None:
        """Write batch_size.json and lr_find/ to a run directory, for resolved values."""
        if self.batch is not None:
            self.batch.write(folder)
        if self.rate is not None:
            write_findings(folder / "lr_find", config, self.rate)


def resolve_auto(config: RunConfig, trusted: Sequence[str], reporter: Reporter) -> tuple[RunConfig, ResolvedAuto]:
    """`config` with auto values replaced by numbers. Raises NoResult or OutOfMemory if there is none."""
    config, batch = resolve_batch_size(config, trusted, reporter)
    config, rate = resolve_learning_rate(config, trusted, reporter)
    return config, ResolvedAuto(batch, rate)


def reuse_resolved(config: RunConfig, saved: RunConfig) -> RunConfig:
    """`config` with auto values replaced by those of `saved`."""
    if is_auto(config.tree):
        batch = {"data.batch_size": saved.batch_size, "trainer.accumulate": saved.trainer.accumulate}
        config = with_values(config, {**batch, "trainer.effective_batch": None})
    if config.optim.arguments.get("lr") == AUTO:
        config = with_values(config, {"optim.lr": saved.optim.arguments["lr"]})
    return config


def with_placeholders(config: RunConfig) -> RunConfig:
    """`config` with auto values replaced by arbitrary numbers, to build it without measuring."""
    return with_placeholder_rate(placeholder_batch_size(config))
