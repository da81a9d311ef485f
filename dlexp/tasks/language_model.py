"""The next token at each position of a text.

Symbols: B windows of a batch, T positions of the longest, V tokens of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.errors import ConfigError
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.reports.next_tokens import next_token_report
from dlexp.metrics.reports.prediction_columns import PredictionColumns
from dlexp.metrics.reports.report import Report
from dlexp.metrics.states import MetricState, StateGroup
from dlexp.metrics.tokens.next_tokens import TokenLossState, TokenSampleState
from dlexp.models.stepwise import StepwiseNetwork
from dlexp.networks.modes import evaluation_mode
from dlexp.sequence_specs import NextTokenSpec
from dlexp.specs import DataSpec
from dlexp.tasks.base import Networks, Task, forward, other_targets
from dlexp.tasks.decoding.generation import generate
from dlexp.tasks.decoding.options import GenerationOptions
from dlexp.tasks.decoding.sliding import SlidingContext
from dlexp.types import Batch, LossOutput, Prediction, Sequences

__all__ = ["LanguageModel"]

_IGNORED = -1
_CAUSAL = "Use model=gpt, model=lstm or model=gru"
_LEAK = 1e-3  # share of a change that rounding does not explain
_LONGEST = 200  # tokens that continue a text, unless --max-length says another number


class LanguageModel(Task):
    """The model returns (B, T, V) scores; the loss is the mean surprise of a token, in nats.

    Padding, and positions that are context alone, count for nothing: neither in the loss nor in a metric. The share
    `label_smoothing` of the probability is spread over all tokens in training (Szegedy et al. 2016), not in evaluation.

    label_smoothing  in [0, 1)
    generation       how texts are continued, set by `dlexp predict`; None where tokens are only scored
    """

    metrics = {
        "loss": "min",
        "bits_per_token": "min",
        "bits_per_byte": "min",
        "perplexity": "min",
        "accuracy": "max",
    }

    def __init__(self, *, spec: DataSpec, loss: nn.Module, label_smoothing: float = 0.0) -> None:
        """Raises ValueError for data without next tokens."""
        if not isinstance(spec.targets, NextTokenSpec):
            raise other_targets("language_model", "the next token at each position", spec)
        self._spec, self._label_smoothing = spec.targets, label_smoothing
        self.generation: GenerationOptions | None = None

    def around(self, network: nn.Module) -> nn.Module:
        """`network` itself. Raises ConfigError for one that looks ahead: it would read the token it is to predict."""
        if _looks_ahead(network, self._spec):
            rule = f"looks ahead: {type(network).__name__} reads the tokens that it is to predict"
            remedy = "Set model.bidirectional=false" if hasattr(network, "is_causal") else _CAUSAL
            raise ConfigError.one("model", "", rule, remedy, code="incompatible-data")
        return network

    def loss_weight(self, phase: str, batch: Batch) -> Tensor:
        """How many tokens count."""
        return (self._known(batch) != _IGNORED).sum()

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The mean surprise of the tokens that count."""
        scores, known = self._scores(networks, batch), self._known(batch)
        total = F.cross_entropy(
            scores.flatten(0, 1).float(),
            known.flatten(),
            ignore_index=_IGNORED,
            reduction="sum",
            label_smoothing=self._label_smoothing,
        )
        counts = known != _IGNORED
        with torch.no_grad():
            hits = (scores.argmax(2) == known)[counts]
        return LossOutput(total / counts.sum().clamp(min=1), {"accuracy": hits})

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """outputs (B, T) float32: the log probability of each token that came, 0 where none counts.

        targets (B, T) int64 has -1 there. `extra` has whether each token was the most probable one, (B, T).
        Where `generation` is set, outputs (B, U) int64 are the tokens that continue the inputs, and `extra` has the
        logarithm of their probability.
        """
        if self.generation is not None:
            return self._continued(networks["model"], batch, self.generation)
        scores, known = self._scores(networks, batch), self._known(batch)
        expected = (*known.shape, self._spec.vocabulary_size)
        if tuple(scores.shape) != expected:
            raise ValueError(f"its output must have shape {expected}, got {tuple(scores.shape)}")
        surprise = F.cross_entropy(scores.movedim(2, 1).float(), known, ignore_index=_IGNORED, reduction="none")
        counts = known != _IGNORED
        weight = counts.sum()
        extra = {"is_first": (scores.argmax(2) == known) & counts}
        return Prediction(-surprise, known, surprise.sum() / weight.clamp(min=1), batch.indices, extra, weight=weight)

    def metric_state(self, names: Sequence[str] = ()) -> MetricState:
        """Loss, bits, perplexity and accuracy over all tokens that count."""
        return TokenLossState(self._spec)

    def report_state(self) -> MetricState:
        """The metrics, and every window."""
        return StateGroup(TokenLossState(self._spec), TokenSampleState(self._spec))

    def report(self, spec: DataSpec, state: MetricState, resampling: Resampling | None = None) -> Report:
        """The metrics with intervals over windows, each window, and the loss by position."""
        assert isinstance(spec.targets, NextTokenSpec)
        return next_token_report(spec.targets, state.part(TokenSampleState), resampling)

    def prediction_columns(self, spec: DataSpec, prediction: Prediction) -> PredictionColumns:
        """The text that continues each input, and the logarithm of its probability."""
        vocabulary = self._spec.vocabulary
        rows = prediction.outputs.tolist()
        texts = [" ".join(map(str, ids)) if vocabulary is None else vocabulary.decode(ids) for ids in rows]
        return PredictionColumns({"predicted": texts, "score": prediction.extra["score"].tolist()})

    def _continued(self, network: nn.Module, batch: Batch, options: GenerationOptions) -> Prediction:
        if not isinstance(network, StepwiseNetwork):
            rule = f"cannot put out text: {type(network).__name__} has no methods start and step"
            raise ConfigError.one("model", "", rule, _CAUSAL, code="not-supported")
        assert isinstance(batch.inputs, Sequences)
        sliding = SlidingContext(network, self._spec.max_length)
        found = generate(
            *(sliding, batch.inputs, options),
            end=None,
            max_length=_LONGEST,
            rows=batch.indices,
            prompts=batch.inputs,
        )
        nothing = torch.zeros(())
        return Prediction(found.tokens.values, None, nothing, batch.indices, {"score": found.scores})

    def _scores(self, networks: Networks, batch: Batch) -> Tensor:
        return forward(networks["model"], batch.inputs)

    def _known(self, batch: Batch) -> Tensor:
        """(B, T) the tokens that count, -1 elsewhere."""
        assert isinstance(batch.targets, Sequences)
        return batch.targets.filled(_IGNORED)


def _looks_ahead(network: nn.Module, spec: NextTokenSpec) -> bool:
    """Whether another last token changes the scores of positions before it. False for a network that cannot be run."""
    length = min(8, spec.max_length)
    values = torch.arange(length).remainder(spec.vocabulary_size).repeat(2, 1)
    values[1, -1] = (values[1, -1] + 1) % spec.vocabulary_size
    try:
        with evaluation_mode(network), torch.no_grad():
            scores = forward(network, Sequences(values, torch.full((2,), length))).double()
        changes = (scores[0] - scores[1]).abs().amax(1)
    except Exception:  # a network may raise anything; the test with samples of the data tells it
        return False
    return bool(length > 1 and changes[:-1].max() > _LEAK * changes[-1])
