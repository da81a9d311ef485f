"""The few numbers of a case that are told even where nothing is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite, nan
from statistics import median

from dlexp.diagnosis.case import Case, NetworkMeasure, Trace


def main_measures(case: Case) -> dict[str, float]:
    """What was measured -> number, in the order of reading; without those that are unknown."""
    found = [
        *_losses("before the first update", case.start),
        *_updates("first updates", case.first),
        *_losses("with the last weights", case.end),
        *_updates("updates from the last weights", case.last),
        *_network(case.now),
    ]
    if case.history is not None and case.history.epochs:
        found.append(("epochs", float(case.history.epochs)))
    return {name: value for name, value in found if isfinite(value)}


def _losses(when: str, network: NetworkMeasure | None) -> Iterator[tuple[str, float]]:
    if network is not None:
        for split, outputs in (("training", network.train), ("validation", network.val)):
            yield f"{split} loss {when}", outputs.metrics.get("loss", nan)


def _updates(which: str, trace: Trace | None) -> Iterator[tuple[str, float]]:
    if trace is None or not trace.losses:
        return
    yield f"{which}, number", float(len(trace.losses))
    yield f"{which}, norm of the gradient, median", median(trace.gradient_norms)
    if trace.ratios:
        yield f"{which}, largest change of a weight, share of its norm", max(trace.ratios.values())
    yield f"{which}, share of clipped gradients", trace.clipped / len(trace.losses)
    yield f"{which}, agreement of the gradients", trace.agreement


def _network(network: NetworkMeasure | None) -> Iterator[tuple[str, float]]:
    if network is None:
        return
    hidden = [one for one in network.activations if not one.is_end]
    units = sum(one.units for one in hidden)
    if units:
        yield "dead units, share", sum(one.dead for one in hidden) / units
    saturated = [one.saturated for one in hidden if one.saturated is not None and not one.is_gate]
    if saturated:
        yield "saturated outputs, share of the layer with most", max(saturated)
