"""Metrics of generated sequences, and of the tokens that a network gives when it is shown the true ones before them.

Symbols: B batch, N samples, S positions of a generated or true sequence, U true tokens of a sample with the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlexp.errors import ConfigError
from dlexp.metrics.bootstrap import Floats
from dlexp.metrics.row_store import RowStore
from dlexp.metrics.states import Mean, MetricState
from dlexp.metrics.tokens.corpus_scores import corpus_metric
from dlexp.text.vocabulary import Vocabulary
from dlexp.types import Prediction

NONE = -1  # stands behind the tokens of a sequence
SUMS = ("tokens", "hits", "log_loss", "score")  # of each sample, in `Prediction.extra`
_INSTALL = "Install it: pip install 'dlexp[text]'"
_MOST_MAPS = 4  # samples whose attention is kept


@dataclass(frozen=True)
class SampleAttention:
    """Where a network looked while it put out a sequence.

    source, target  names of the positions
    maps            name of a layer -> (heads, U, T): a row for each position of the target, with sum 1
    """

    source: Sequence[str]
    target: Sequence[str]
    maps: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class SequencePrediction(Prediction):
    """Generated sequences: outputs and targets (B, S) int64 tokens, -1 behind the last, without the end.

    extra      (B, 1) each: tokens (U), hits (right ones where the true ones before are shown), log_loss (sum over the
               tokens of -ln p) and score (ln p of the generated sequence); (B, T) source, where it consists of tokens
    attention  where the network looks in the first K samples, made when it is asked for; None without attention
    """

    attention: Callable[[int], list[SampleAttention]] | None = field(default=None, kw_only=True)


class SequenceState(MetricState):
    """Loss, token accuracy and exact match, as sums."""

    def __init__(self) -> None:
        self._loss, self._sums = Mean(), torch.zeros(3, dtype=torch.float64)

    def update(self, prediction: Prediction) -> None:
        """Add a batch of a `SequencePrediction`."""
        right = (prediction.outputs == prediction.known_targets).all(dim=1)
        sums = [prediction.extra["tokens"].sum(), prediction.extra["hits"].sum(), right.sum()]
        self._sums += torch.stack([one.double().cpu() for one in sums])
        self._loss.add(prediction)

    def merge(self, other: Self) -> None:
        """Add the sums of another state."""
        self._loss.merge(other._loss)
        self._sums += other._sums

    def compute(self) -> dict[str, float]:
        """Means over tokens, and over samples for exact_match."""
        loss, (tokens, hits, right) = self._loss.value(), self._sums.tolist()
        return {"loss": loss, "token_accuracy": hits / tokens, "exact_match": right / self._loss.count}


class SequenceSampleState(MetricState):
    """Every generated sequence, and what is known of each sample; `compute` gives the metrics `names` of `OF_TEXTS`."""

    def __init__(
        self,
        vocabularies: tuple[Vocabulary | None, Vocabulary | None],
        names: Sequence[str] = (),
        keeps_maps: bool = False,
    ) -> None:
        """Of sources and targets; raises ConfigError where texts or a package are missing for `names`."""
        self._vocabularies, self._names = vocabularies, tuple(names)
        if names:
            check_text_metrics(names, vocabularies[1])
        self._rows: dict[str, RowStore[Any]] = {}
        self.maps: list[SampleAttention] = []
        self._keeps_maps = keeps_maps

    def update(self, prediction: Prediction) -> None:
        """Add a batch of a `SequencePrediction`."""
        columns = {"outputs": prediction.outputs, "targets": prediction.known_targets, "indices": prediction.indices}
        for name, values in {**columns, **prediction.extra}.items():
            self._rows.setdefault(name, RowStore[Any]()).append(values.cpu().numpy())
        attention = getattr(prediction, "attention", None)
        if self._keeps_maps and attention is not None and len(self.maps) < _MOST_MAPS:
            self.maps += attention(_MOST_MAPS - len(self.maps))

    def merge(self, other: Self) -> None:
        """Add the samples of another state, after those of this one."""
        for name, rows in other._rows.items():
            self._rows.setdefault(name, RowStore[Any]()).extend(rows)
        self.maps = (self.maps + other.maps)[:_MOST_MAPS]

    def compute(self) -> dict[str, float]:
        """The metrics of texts that were asked for."""
        return {name: score for name, (score, _) in text_scores(self._names, self.samples()).items()}

    def samples(self) -> SequenceSamples:
        """All samples. Raises ValueError where there are none."""
        if not self._rows:
            raise ValueError("no sample was evaluated")
        return SequenceSamples({name: rows.joined() for name, rows in self._rows.items()}, *self._vocabularies)


@dataclass(frozen=True)
class SequenceSamples:
    """N samples: arrays of N rows, as in `SequencePrediction`, and the vocabularies of sources and targets."""

    arrays: Mapping[str, NDArray[Any]]
    source_vocabulary: Vocabulary | None
    target_vocabulary: Vocabulary | None

    def __len__(self) -> int:
        return len(self.arrays["indices"])

    def each(self, name: str) -> Floats:
        """(N,) one of `SUMS`."""
        return np.asarray(self.arrays[name][:, 0], dtype=np.float64)

    @property
    def exact(self) -> NDArray[np.bool_]:
        """(N,) whether all tokens and the length are right."""
        return np.asarray((self.arrays["outputs"] == self.arrays["targets"]).all(axis=1))

    def texts(self, name: str) -> list[str]:
        """N texts of outputs, targets or source; ids, joined by spaces, where there is no vocabulary."""
        vocabulary = self.source_vocabulary if name == "source" else self.target_vocabulary
        return [text_of(row, vocabulary) for row in self.arrays[name].tolist()]

    def statistic(self) -> Callable[[Floats], dict[str, Floats]]:
        """A function of counts (R, N): the means over the tokens, and over the samples for exact_match, (R,) each."""
        tokens, hits, losses = (self.each(name) for name in ("tokens", "hits", "log_loss"))
        right = self.exact.astype(np.float64)

        def of(counts: Floats) -> dict[str, Floats]:
            total = counts @ tokens
            return {
                "token_accuracy": counts @ hits / total,
                "log_loss": counts @ losses / total,
                "exact_match": counts @ right / counts.sum(axis=1),
            }

        return of


def text_of(ids: Sequence[int], vocabulary: Vocabulary | None) -> str:
    """The text of tokens up to the first negative one; ids, joined by spaces, without a vocabulary."""
    own = [number for number in ids if number >= 0]
    return " ".join(map(str, own)) if vocabulary is None else vocabulary.decode(own)


def padded(tokens: Tensor, lengths: Tensor, width: int) -> Tensor:
    """(B, U) tokens of these lengths (B,) -> (B, width) with -1 behind them; what is longer is cut."""
    kept = torch.arange(width, device=tokens.device) < lengths[:, None]
    wide = torch.nn.functional.pad(tokens, (0, max(0, width - tokens.shape[1])))[:, :width]
    return wide.masked_fill(~kept, NONE)


def check_text_metrics(names: Sequence[str], vocabulary: Vocabulary | None) -> None:
    """Raise ConfigError for metrics of texts without texts, or without the package sacrebleu."""
    given = ", ".join(names)
    if vocabulary is None:
        rule = "compares texts, and these targets are token ids without a vocabulary"
        raise ConfigError.one("metrics", given, rule, "Use exact_match.", code="not-supported")
    try:
        import sacrebleu  # noqa: F401
    except ImportError as error:
        rule = "requires the package sacrebleu, which is not installed"
        raise ConfigError.one("metrics", given, rule, _INSTALL, code="missing-package") from error


def text_scores(names: Sequence[str], samples: SequenceSamples | None) -> dict[str, tuple[float, str]]:
    """Name -> (score in [0, 100], signature of sacrebleu) of the corpus: bleu (Post 2018), chrf (Popovic 2015)."""
    if not names or samples is None:
        return {}
    found, truth = samples.texts("outputs"), samples.texts("targets")
    scores = {}
    for name in names:
        metric = corpus_metric(name)
        score = metric.corpus_score(found, [truth]).score
        scores[name] = (float(score), str(metric.get_signature()))
    return scores
