"""Scores of the samples of sequence tasks, from the tables of their evaluations: numbers whose mean is the metric.

A sample is a sentence, a text or a window, and never a token: the tokens of a sample depend on each other. Most
metrics are quotients of sums over the samples, a / b with A and B of each sample. Such a sample scores
q + (A - q B) / mean(B), where q is the quotient of all: the mean of these numbers is q, and their spread is that of q,
to first order (the delta method). Other functions of sums are treated in the same way.

Symbols: N samples, H steps of a horizon, V targets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from math import exp, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.errors import ConfigError
from dlexp.metrics.forecast_errors import ForecastErrors, pinball
from dlexp.metrics.tokens.corpus_scores import OF_TEXTS, text_influence

Floats = NDArray[np.float64]
Table = Mapping[str, NDArray[Any]]
Scorer = Callable[[Table], Floats]
BLOCK = "block"  # the column of the stretch of time of a forecast
_LARGEST = 700.0  # nats, of which the exponential is still a float64 number
_QUANTILE = re.compile(r"(q0?\.\d+) (.+)")
_INSTALL = "Install it: pip install 'dlexp[text]'"
_NEIGHBORS = (
    "windows of a text resemble their neighbors, and the intervals take them as independent: they may be too narrow"
)


@dataclass(frozen=True)
class SequenceKind:
    """What the tables of one kind of task hold.

    mark     a column that only they have
    same     columns that are the same for all runs on the same samples, beside those of true values
    metrics  name -> scores of a table; the usual one first
    note     what a reader of the intervals must know, "" for nothing
    """

    mark: str
    same: tuple[str, ...]
    metrics: Mapping[str, Scorer]
    note: str = ""


def sequence_kind(columns: Collection[str], texts: Mapping[str, int]) -> SequenceKind | None:
    """The kind of a table of predictions; None for a table of classes or values, one for each sample.

    Args:
        columns: Of the table.
        texts: Text -> its number in the columns `true` and `predicted`, complete when a score is computed.
    """
    found = next((kind for kind in _KINDS if kind.mark in columns), None)
    if found is None:
        return None
    metrics = dict(found.metrics)
    if found.mark == "token_accuracy":
        metrics |= {name: _of_texts(name, texts) for name in OF_TEXTS}
    if found.mark == BLOCK and not any(map(_QUANTILE.fullmatch, columns)):
        metrics.pop("pinball")
    return SequenceKind(found.mark, found.same, metrics, found.note)


def quotient(part: Floats, whole: Floats) -> Floats:
    """(N,) numbers whose mean is sum(part) / sum(whole), with its spread; NaN where the sum is 0."""
    total = whole.sum()
    if not total:
        return np.full(len(whole), np.nan)
    value = part.sum() / total
    return np.asarray(value + (part - value * whole) / whole.mean(), dtype=np.float64)


def _exact(table: Table) -> Floats:
    return np.asarray(table["exact_match"], np.float64)


def _of_tokens(column: str) -> Scorer:
    """Of a column of means over the tokens of each sample: the mean over the tokens of all."""
    return lambda table: quotient(table[column] * table["tokens"], table["tokens"])


def _bits_per_byte(table: Table) -> Floats:
    return quotient(table["loss"] * table["tokens"] / log(2), table["bytes"])


def _perplexity(table: Table) -> Floats:
    losses = quotient(table["loss"] * table["tokens"], table["tokens"])
    mean = losses.mean()
    if np.isnan(mean):
        return losses
    value = exp(min(mean, _LARGEST))
    return np.asarray(value * (1 + losses - mean), np.float64)


def _of_texts(name: str, texts: Mapping[str, int]) -> Scorer:
    def scores(table: Table) -> Floats:
        spelled = list(texts)
        found, true = ([spelled[number] for number in table[side].tolist()] for side in ("predicted", "true"))
        try:
            return text_influence(name, found, true)
        except ImportError as error:
            rule = "requires the package sacrebleu, which is not installed"
            raise ConfigError.one("--metric", name, rule, _INSTALL, code="missing-package") from error

    return scores


def _errors(table: Table) -> tuple[ForecastErrors, Floats, dict[str, Floats]]:
    """Errors, true values (N, H, V) and quantiles (N, H, V) each of a table of forecasts."""
    names = [column.removeprefix("true ") for column in table if column.startswith("true ")]
    targets = list(dict.fromkeys(name.rpartition("+")[0] for name in names))

    def stacked(prefix: str) -> Floats:
        values = np.stack([table[f"{prefix} {name}"] for name in names], axis=1)
        return np.asarray(values.reshape(len(values), -1, len(targets)), np.float64)

    quantiles = dict.fromkeys(match[1] for match in map(_QUANTILE.fullmatch, table) if match)
    scale = np.stack([table[f"scale {name}"] for name in targets], axis=1)
    true = stacked("true")
    return ForecastErrors.of(stacked("predicted"), true, scale), true, {name: stacked(name) for name in quantiles}


def _root_mean_square(table: Table) -> Floats:
    """Of several targets the mean of the roots."""
    squares = _errors(table)[0].squared.mean(axis=1)
    roots = np.sqrt(squares.mean(axis=0))
    apart = (squares - roots**2) / np.where(roots > 0, 2 * roots, 1.0)
    return np.asarray((roots + apart).mean(axis=1), np.float64)


def _scaled(table: Table) -> Floats:
    """Windows of series without a change in the training part count for nothing."""
    scaled = _errors(table)[0].scaled
    there = ~np.isnan(scaled)
    return quotient(np.where(there, scaled, 0.0).sum(axis=(1, 2)), there.sum(axis=(1, 2)).astype(np.float64))


def _pinball(table: Table) -> Floats:
    _, true, bounds = _errors(table)
    return np.asarray(pinball(bounds, true).mean(axis=(1, 2)), np.float64)


_KINDS = (
    SequenceKind(
        "token_accuracy",
        ("tokens",),
        {"exact_match": _exact, "token_accuracy": _of_tokens("token_accuracy"), "log_loss": _of_tokens("log_loss")},
    ),
    SequenceKind(
        "bits_per_token",
        ("tokens", "bytes"),
        {
            "bits_per_token": _of_tokens("bits_per_token"),
            "bits_per_byte": _bits_per_byte,
            "perplexity": _perplexity,
            "accuracy": _of_tokens("accuracy"),
            "loss": _of_tokens("loss"),
        },
        _NEIGHBORS,
    ),
    SequenceKind(
        "right_entities",
        ("positions", "entities"),
        {
            "entity_f1": lambda table: quotient(
                2 * table["right_entities"], table["entities"] + table["predicted_entities"]
            ),
            "accuracy": lambda table: quotient(table["accuracy"] * table["positions"], table["positions"]),
            "entity_precision": lambda table: quotient(table["right_entities"], table["predicted_entities"]),
            "entity_recall": lambda table: quotient(table["right_entities"], table["entities"]),
        },
    ),
    SequenceKind(
        "character_edits",
        ("characters", "words"),
        {
            "cer": lambda table: quotient(table["character_edits"], table["characters"]),
            "wer": lambda table: quotient(table["word_edits"], table["words"]),
            "exact_match": lambda table: np.asarray(table["character_edits"] == 0, np.float64),
        },
    ),
    SequenceKind(
        BLOCK,
        (),
        {
            "mae": lambda table: _errors(table)[0].absolute.mean(axis=(1, 2)),
            "rmse": _root_mean_square,
            "mase": _scaled,
            "smape": lambda table: _errors(table)[0].share.mean(axis=(1, 2)),
            "pinball": _pinball,
            "mse": lambda table: _errors(table)[0].squared.mean(axis=(1, 2)),
        },
    ),
)
ALWAYS_OF_SAMPLES = tuple(
    dict.fromkeys(name for kind in _KINDS for name in (*kind.metrics, *OF_TEXTS) if name not in ("loss", "rmse"))
)  # names that mean the same metric everywhere
