"""An epoch as a line of text: its number, losses, metrics, learning rate and speed."""

from __future__ import annotations

from collections.abc import Mapping

from dlexp.engine.loop import EpochRecord
from dlexp.report.number_format import number

LABELS = {"samples_per_s": "samples/s"}  # column of metrics.csv -> its unit, which follows the number


def epoch_line(record: EpochRecord, left: str = "") -> str:
    """An epoch on one line of about 100 characters; the best epoch so far ends with `best`.

    Args:
        record: The epoch.
        left: The estimate of the remaining time, "" for none.
    """
    parts = [f"epoch {record.epoch}/{record.epochs}", *formatted(shown_columns(record)), left]
    return "  ".join(filter(None, [*parts, "best" if record.is_best else ""]))


def formatted(means: Mapping[str, float]) -> list[str]:
    """Each value with its name, or with its unit behind it."""
    return [
        f"{number(name, value)} {LABELS[name]}" if name in LABELS else f"{name} {number(name, value)}"
        for name, value in means.items()
    ]


def shown_columns(record: EpochRecord, wide: bool = False) -> dict[str, float | int]:
    """The columns of an epoch: losses, the monitored metric, one more validation metric, learning rate and speed.

    Args:
        record: The epoch.
        wide: Whether to include all validation metrics; otherwise the line has about 80 characters.
    """
    wanted = ["train/loss", "val/loss", record.monitor]
    extra = [name for name in record.values if name.startswith("val/") and name not in wanted]
    rates = [name for name in record.values if name == "lr" or name.startswith("lr/")]
    names = dict.fromkeys([*wanted, *extra[: None if wide else 1], *rates, "samples_per_s"])
    if not any(name in record.values for name in ("train/loss",)):  # several phases have a loss each
        names = dict.fromkeys([*(n for n in record.values if n.endswith("loss")), *names])
    return {name: record.values[name] for name in names if name in record.values}
