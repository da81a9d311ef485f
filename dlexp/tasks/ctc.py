"""A shorter sequence of tokens from a longer one of steps, without knowing which step is which token.

Source: A. Graves, S. Fernandez, F. Gomez, J. Schmidhuber, "Connectionist temporal classification", ICML 2006.

Symbols: B samples of a batch, T steps of the longest, U tokens of the longest target, V tokens of the vocabulary.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.errors import ConfigError
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.reports.edits import edit_report
from dlexp.metrics.reports.prediction_columns import PredictionColumns
from dlexp.metrics.reports.report import Report
from dlexp.metrics.states import MetricState
from dlexp.metrics.tokens.edit_distance import EditState
from dlexp.sequence_specs import TokenTargetSpec
from dlexp.specs import DataSpec
from dlexp.tasks.base import Networks, Task, forward, other_targets, reads_targets
from dlexp.types import Batch, LossOutput, Prediction, Sequences

__all__ = ["Ctc"]

_PADDING = -1


class Ctc(Task):
    """The model returns (B, T, V + 1) scores; the last one is for the blank, which stands for no token.

    The loss is the negative log probability of the target, summed over all alignments, for each of its tokens, in nats.

    beam  alternatives that are kept at each step in a prediction; 1 takes the best score of each step
    """

    metrics = {"loss": "min", "cer": "min", "wer": "min", "exact_match": "max"}

    def __init__(self, *, spec: DataSpec, loss: nn.Module, beam: int = 1) -> None:
        """Raises ValueError for data whose targets are no texts, or end with a token of their own."""
        targets = spec.targets
        if not isinstance(targets, TokenTargetSpec) or targets.vocabulary is None:
            raise other_targets("ctc", "texts of tokens", spec)
        if targets.end is not None:
            raise ValueError("ctc requires targets without an end token, as those of data=tones. Set task=seq2seq.")
        self._vocabulary, self._blank, self._beam = targets.vocabulary, targets.vocabulary_size, beam

    def num_outputs(self, spec: DataSpec) -> int:
        """V + 1."""
        return self._blank + 1

    def around(self, network: nn.Module) -> nn.Module:
        """`network` itself. Raises ConfigError for one that reads the target so far, which no step of CTC knows."""
        if reads_targets(network):
            rule = (
                f"puts out a target token by token ({type(network).__name__}); task=ctc requires an output at each step"
            )
            raise ConfigError.one("model", "", rule, "Use model=gru, model=lstm or model=tcn", code="incompatible-data")
        return network

    def loss_weight(self, phase: str, batch: Batch) -> Tensor:
        """Tokens of the targets."""
        assert isinstance(batch.targets, Sequences)
        return batch.targets.lengths.sum()

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The mean over the tokens of the targets."""
        log_probs, lengths = self._log_probs(networks, batch)
        return LossOutput(self._mean_loss(log_probs, lengths, batch))

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """outputs (B, U') int64: the recognized tokens, -1 in padding; targets (B, U) likewise."""
        log_probs, lengths = self._log_probs(networks, batch)
        if log_probs.shape[2] != self._blank + 1:
            raise ValueError(f"its output must have {self._blank + 1} scores a step, got {log_probs.shape[2]}")
        found = [
            best_path(rows[:length], self._blank)
            if self._beam == 1
            else prefix_beam(rows[:length], self._blank, self._beam)
            for rows, length in zip(log_probs.cpu(), lengths.tolist(), strict=True)
        ]
        assert isinstance(batch.targets, Sequences)
        known = batch.targets.filled(_PADDING)
        weight = self.loss_weight("", batch)
        return Prediction(
            padded_rows(found), known, self._mean_loss(log_probs, lengths, batch), batch.indices, weight=weight
        )

    def metric_state(self, names: Sequence[str] = ()) -> MetricState:
        """Loss and error rates."""
        return EditState(self._vocabulary)

    def report(self, spec: DataSpec, state: MetricState, resampling: Resampling | None = None) -> Report:
        """Error rates with intervals over samples, and each sample."""
        return edit_report(state.part(EditState), resampling)

    def prediction_columns(self, spec: DataSpec, prediction: Prediction) -> PredictionColumns:
        """The recognized text."""
        rows = prediction.outputs.tolist()
        return PredictionColumns({"predicted": [self._vocabulary.decode(n for n in ids if n >= 0) for ids in rows]})

    def _log_probs(self, networks: Networks, batch: Batch) -> tuple[Tensor, Tensor]:
        """(B, T, V + 1) float32 and (B,) lengths."""
        assert isinstance(batch.inputs, Sequences)
        return forward(networks["model"], batch.inputs).float().log_softmax(2), batch.inputs.lengths

    def _mean_loss(self, log_probs: Tensor, lengths: Tensor, batch: Batch) -> Tensor:
        """Raises ValueError for a target that has more tokens than its input has room for."""
        assert isinstance(batch.targets, Sequences)
        targets, sizes = batch.targets.values, batch.targets.lengths
        repeats = ((targets[:, 1:] == targets[:, :-1]) & batch.targets.mask[:, 1:]).sum(1)
        short = (sizes + repeats > lengths).nonzero().flatten()
        if len(short):
            row = int(short[0])
            rule = f"sample {int(batch.indices[row])} has {int(lengths[row])} steps, and its target needs"
            raise ValueError(
                f"{rule} {int(sizes[row] + repeats[row])}: one for each token, and one between two equal ones"
            )
        if not int(sizes.sum()):
            return log_probs.sum() * 0
        total = F.ctc_loss(log_probs.movedim(1, 0), targets, lengths, sizes, blank=self._blank, reduction="sum")
        return total / sizes.sum()


def best_path(log_probs: Tensor, blank: int) -> list[int]:
    """The tokens of the best score of each step (T, V + 1), equal neighbors once, without blanks."""
    path = log_probs.argmax(1).tolist() if len(log_probs) else []
    return [token for place, token in enumerate(path) if token != blank and path[max(place - 1, 0) : place] != [token]]


def prefix_beam(log_probs: Tensor, blank: int, beam: int) -> list[int]:
    """The tokens whose probability, summed over all alignments, is the highest found.

    Args:
        log_probs: (T, V + 1).
        blank: Number of the blank.
        beam: Beginnings that are kept at each step.
    """
    nothing = -math.inf
    # beginning -> log probability of all its alignments that end with a blank, and with its last token
    kept: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, nothing)}
    for row in log_probs.double().tolist():
        found: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [nothing, nothing])
        for tokens, (with_blank, with_token) in kept.items():
            total = _sum(with_blank, with_token)
            found[tokens][0] = _sum(found[tokens][0], total + row[blank])
            if tokens:
                found[tokens][1] = _sum(found[tokens][1], with_token + row[tokens[-1]])
            for token, value in enumerate(row):
                if token != blank:
                    before = with_blank if tokens and tokens[-1] == token else total
                    longer = (*tokens, token)
                    found[longer][1] = _sum(found[longer][1], before + value)
        best = sorted(found, key=lambda tokens: _sum(*found[tokens]), reverse=True)[:beam]
        kept = {tokens: (found[tokens][0], found[tokens][1]) for tokens in best}
    return list(max(kept.items(), key=lambda item: _sum(*item[1]))[0])


def padded_rows(rows: Sequence[Sequence[int]]) -> Tensor:
    """(B, U) int64 of rows of unlike lengths, -1 in padding."""
    width = max(map(len, rows), default=0)
    found = [[*row, *[_PADDING] * (width - len(row))] for row in rows]
    return torch.tensor(found, dtype=torch.int64).view(len(rows), width)


def _sum(one: float, other: float) -> float:
    """The logarithm of the sum of two numbers, from their logarithms."""
    high, low = max(one, other), min(one, other)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))
