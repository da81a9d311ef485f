"""The report of a language model: bits with intervals over windows, each window, and the loss by position."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np

from dlexp.metrics.bootstrap import Resampling, report_intervals
from dlexp.metrics.reports.figures import Figure, Lines, TokenValues
from dlexp.metrics.reports.report import Report, Table
from dlexp.metrics.tokens.next_tokens import TokenSampleState, WindowSums
from dlexp.sequence_specs import NextTokenSpec

_MOST_SURPRISING = 25
_HEADER = ("row", "tokens", "bytes", "loss", "bits_per_token", "accuracy")
_BY_POSITION = "Mean loss at each position of a window on the {split} split: how much more context helps."
_TOKENS = "Loss of each token of the windows with the largest loss on the {split} split."
_WORST = "The windows with the largest loss on the {split} split, largest first."
_NOTE = "The intervals resample windows of the text, neighbors of which resemble each other: they may be too narrow."


@dataclass(frozen=True)
class _Rows:
    """A row of figures for each window."""

    indices: Any
    sums: WindowSums

    def __iter__(self) -> Iterator[list[Any]]:
        for number, surprise, tokens, num_bytes, hits in zip(self.indices, *vars(self.sums).values(), strict=True):
            mean = surprise / max(tokens, 1)
            counts = int(tokens), round(float(num_bytes), 3)
            yield [int(number), *counts, float(mean), float(mean / log(2)), float(hits / max(tokens, 1))]


def next_token_report(spec: NextTokenSpec, state: TokenSampleState, resampling: Resampling | None = None) -> Report:
    """The report of every window.

    Args:
        spec: Describes the targets.
        state: Holds at least one window.
        resampling: How intervals are made; None makes none.
    """
    sums, indices = state.samples(), state.indices()
    count = len(indices)
    plain = {name: float(value[0]) for name, value in sums.statistic(np.ones((1, count))).items()}
    sure = report_intervals(sums.statistic, count, resampling)
    missing = [name for name, value in plain.items() if not np.isfinite(value)]
    rows = _Rows(indices, sums)
    tables = {"predictions": Table(_HEADER, rows)}
    figures: dict[str, Figure] = {
        "loss_by_position": Lines(
            _BY_POSITION, "position in the window", "loss in nats", {"": state.loss_by_position()}
        )
    }
    if spec.vocabulary is not None:
        shown = state.surprising()
        texts = [[_visible(spec.vocabulary.tokens[token]) for token in tokens] for _, tokens, _ in shown]
        figures["token_losses"] = TokenValues(
            _TOKENS, [f"window {number}" for number, *_ in shown], texts, [values for *_, values in shown]
        )
        worst = [[number, float(np.mean(values)), spec.vocabulary.decode(tokens)] for number, tokens, values in shown]
        tables["mistakes"] = Table(("row", "loss", "text"), worst, _WORST, ("row", "text"))
    return Report(
        {name: None if name in missing else value for name, value in plain.items()},
        dict.fromkeys(missing, "the tokens stand for no known number of bytes"),
        {name: found for name, found in sure.items() if name not in missing},
        tables,
        figures,
        {"vocabulary_size": spec.vocabulary_size},
        (_NOTE,) if sure else (),
    )


def _visible(token: str) -> str:
    """A token with its white space shown."""
    return token.replace("\n", "\u21b5").replace("\t", "\u21e5").replace(" ", "\u2423")
