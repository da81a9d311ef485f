"""The figure of a learning-rate schedule as PNG bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dlexp.report.figures.curves import as_png

_RATES, _MOMENTUM = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9"), "#D55E00"


def schedule_png(
    title: str, rates: Mapping[str, Sequence[float]], momenta: Sequence[float] | None, steps_per_epoch: int
) -> bytes:
    """The learning rate of every update over the epochs, with the momentum below if given.

    Args:
        title: Above the figure.
        rates: Name of a parameter group -> learning rate of each update.
        momenta: Momentum of each update, None if it is constant.
        steps_per_epoch: Updates per epoch.
    """
    panels = 1 if momenta is None else 2
    figure = Figure(figsize=(7.2, 3.6 if momenta is None else 5.4), layout="constrained", dpi=110)
    grid = figure.add_gridspec(panels, 1, height_ratios=[2, 1][:panels])
    axes = figure.add_subplot(grid[0])
    updates = len(next(iter(rates.values())))
    epochs = [number / steps_per_epoch for number in range(updates)]
    dots = "." if updates < 60 else None
    for number, (name, course) in enumerate(rates.items()):
        color = _RATES[number % len(_RATES)]
        axes.plot(epochs, course, color=color, label=name, marker=dots, drawstyle="steps-post")
    axes.set_ylabel("learning rate")
    axes.set_ylim(bottom=0)
    axes.set_title(f"{title}: {updates:,} updates, {steps_per_epoch:,} per epoch", parse_math=False)
    if len(rates) > 1:
        axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    every = [axes]
    if momenta is not None:
        below = figure.add_subplot(grid[1], sharex=axes)
        below.plot(epochs, momenta, color=_MOMENTUM, marker=dots, drawstyle="steps-post")
        below.set_ylabel("momentum")
        every.append(below)
    for one in every:
        one.grid(alpha=0.25)
        one.set_xlim(0, updates / steps_per_epoch)
        one.xaxis.set_major_locator(MaxNLocator(integer=updates > 2 * steps_per_epoch))
    every[-1].set_xlabel("epoch")
    return as_png(figure)
