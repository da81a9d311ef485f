"""One sequence into another, token by token, each given those before it.

Symbols: B batch, T positions of the longest source, U tokens of the longest target with its end, V tokens of the
target's vocabulary, S positions that are kept of a generated or true sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.errors import ConfigError
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.reports.prediction_columns import PredictionColumns
from dlexp.metrics.reports.report import Report
from dlexp.metrics.reports.sequences import sequence_report
from dlexp.metrics.states import MetricState, StateGroup
from dlexp.metrics.tokens.generated import (
    SampleAttention,
    SequencePrediction,
    SequenceSampleState,
    SequenceState,
    padded,
    text_of,
)
from dlexp.models.stepwise import StepwiseNetwork
from dlexp.sequence_specs import TokenSpec, TokenTargetSpec
from dlexp.specs import DataSpec
from dlexp.tasks.base import Networks, Task, other_targets, reads_targets
from dlexp.tasks.decoding.generation import generate
from dlexp.tasks.decoding.options import GenerationOptions
from dlexp.tasks.decoding.steps import Generated
from dlexp.types import Batch, Field, LossOutput, Prediction, Sequences

__all__ = ["Seq2Seq"]


class Seq2Seq(Task):
    """The model puts out scores of each token of the target, and the loss is the mean over the tokens.

    The `end` of a target counts as a token, padding does not. In training the tokens before each one are the true ones
    (teacher forcing), or with a lower ratio, drawn for each token of each sample, what the model put out itself; in
    evaluation loss and token_accuracy show the true ones, and exact_match, bleu and chrf none at all.

    teacher_forcing         share of tokens for which the true one before is shown in training, in [0, 1]
    teacher_forcing_end     the share that it falls to, in a straight line; None does not change it
    teacher_forcing_epochs  number of epochs after which it has fallen
    max_length              largest number of tokens that are generated, the end counted; None for that of the data
    beam, length_penalty, temperature, top_k, top_p, repetition_penalty  how sequences are generated in `predict`, as in
                            `GenerationOptions`; greedily by default
    """

    metrics = {"loss": "min", "token_accuracy": "max", "exact_match": "max"}
    extra_metrics = {"bleu": "max", "chrf": "max"}

    def __init__(
        self,
        *,
        spec: DataSpec,
        loss: nn.Module,
        teacher_forcing: float = 1.0,
        teacher_forcing_end: float | None = None,
        teacher_forcing_epochs: int = 10,
        max_length: int | None = None,
        beam: int = 1,
        length_penalty: float = 1.0,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        repetition_penalty: float = 1.0,
    ) -> None:
        """Raises ValueError when the targets are no sequences with a beginning and an end.

        Raises ConfigError for settings of the generation that cannot be combined.
        """
        targets = spec.targets
        if not isinstance(targets, TokenTargetSpec):
            raise other_targets("seq2seq", "sequences of token ids", spec)
        if targets.begin is None or targets.end is None:
            raise ValueError("seq2seq requires targets with a begin and an end token, as those of data=pairs")
        self._criterion, self._begin, self._end = loss, targets.begin, targets.end
        first = spec.inputs.vocabulary if isinstance(spec.inputs, TokenSpec) else None
        self._vocabularies = first, targets.vocabulary
        self._source_length = spec.inputs.max_length if isinstance(spec.inputs, TokenSpec) else 0
        self._ratio, self._last_ratio = teacher_forcing, teacher_forcing_end
        self._epochs, self._now = teacher_forcing_epochs, teacher_forcing
        self.max_length = max_length or targets.max_length
        self._width = max(self.max_length, targets.max_length)
        drawn = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        followed = {"beam": beam, "length_penalty": length_penalty, "repetition_penalty": repetition_penalty}
        self.generation = GenerationOptions.of_task({**followed, **drawn})

    def begin_phase(self, epoch: int, step: int) -> None:
        """Set the share of true tokens of this epoch."""
        self._now = self.ratio(epoch)

    def ratio(self, epoch: int) -> float:
        """The share of tokens for which the true one before is shown, after `epoch` epochs."""
        if self._last_ratio is None:
            return self._ratio
        return self._ratio + (self._last_ratio - self._ratio) * min(1.0, epoch / self._epochs)

    def loss_weight(self, phase: str, batch: Batch) -> Tensor:
        """The number of tokens of the targets."""
        return _targets(batch).lengths.sum()

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The criterion on the scores of all tokens; `token_accuracy` beside it."""
        network, targets = networks["model"], _targets(batch)
        self._check(network)
        if self._now >= 1:
            scores = self._scores(network, batch.inputs, targets)
        else:
            scores = self._fed_back(network, batch.inputs, targets)
        scores, wanted = scores[targets.mask], targets.values[targets.mask]
        return LossOutput(self._criterion(scores, wanted), {"token_accuracy": scores.detach().argmax(-1) == wanted})

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """Generated sequences, and the loss and the right tokens where the true ones before are shown."""
        network, targets = networks["model"], _targets(batch)
        self._check(network)
        scores = self._scores(network, batch.inputs, targets).float()
        expected = (*targets.values.shape, scores.shape[-1])
        if scores.shape != expected:
            raise ValueError(f"its output must have shape {expected}, got {tuple(scores.shape)}")
        mask, sources = targets.mask, _sequences(batch.inputs)
        own = F.cross_entropy(scores.mT.double(), targets.values, reduction="none").masked_fill(~mask, 0)
        hits = ((scores.argmax(-1) == targets.values) & mask).sum(1)
        found = self._generated(network, sources, batch.indices)
        truth = padded(targets.values, targets.lengths - 1, self._width)
        extra = {"tokens": targets.lengths, "hits": hits, "log_loss": own.sum(1), "score": found.scores}
        columns = {name: values.double()[:, None] for name, values in extra.items()}
        if not sources.values.is_floating_point():
            columns["source"] = padded(sources.values, sources.lengths, self._source_length)
        return SequencePrediction(
            padded(found.tokens.values, found.tokens.lengths, self._width),
            truth,
            self._criterion(scores[mask], targets.values[mask]),
            batch.indices,
            columns,
            weight=targets.lengths.sum(),
            attention=partial(self._attention, network, sources, found.tokens)
            if hasattr(network, "attention_maps")
            else None,
        )

    def metric_state(self, names: Sequence[str] = ()) -> MetricState:
        """Loss, token accuracy and exact match, and the extra metrics `names`."""
        usual = SequenceState()
        return StateGroup(usual, SequenceSampleState(self._vocabularies, names)) if names else usual

    def report_state(self) -> MetricState:
        """The usual metrics, and every sample."""
        return StateGroup(self.metric_state(), SequenceSampleState(self._vocabularies, keeps_maps=True))

    def report(self, spec: DataSpec, state: MetricState, resampling: Resampling | None = None) -> Report:
        """Metrics with intervals over sequences, examples, mistakes, every sample and attention maps."""
        found = state.part(SequenceSampleState)
        return sequence_report(found.samples(), found.maps, resampling)

    def prediction_columns(self, spec: DataSpec, prediction: Prediction) -> PredictionColumns:
        """The generated text, and the logarithm of its probability."""
        texts = [text_of(row, self._vocabularies[1]) for row in prediction.outputs.tolist()]
        return PredictionColumns({"predicted": texts, "score": prediction.extra["score"][:, 0].tolist()})

    def _scores(self, network: nn.Module, inputs: Field, targets: Sequences) -> Tensor:
        """(B, U, V), the true tokens shown."""
        sources, previous = _sequences(inputs), F.pad(targets.values, (1, -1), value=self._begin)
        found: Tensor = network(sources.values, sources.lengths, previous, targets.lengths)
        return found

    def _fed_back(self, network: nn.Module, inputs: Field, targets: Sequences) -> Tensor:
        """(B, U, V), each token shown with the ratio, otherwise the one that the network puts out, without a gradient.

        torch's generators are seeded by the place of the update in the run: so what is drawn is a function of it.
        """
        sources, stepwise = _sequences(inputs), cast(StepwiseNetwork, network)
        is_true = torch.rand(targets.values.shape, device=targets.values.device) < self._now
        scores, state = stepwise.start(sources.values, sources.lengths)
        found = [scores]
        for position in range(targets.values.shape[1] - 1):
            shown = torch.where(is_true[:, position], targets.values[:, position], scores.detach().argmax(-1))
            scores, state = stepwise.step(shown, state)
            found.append(scores)
        return torch.stack(found, 1)

    def _generated(self, network: nn.Module, sources: Sequences, rows: Tensor) -> Generated:
        stepwise = cast(StepwiseNetwork, network)
        return generate(stepwise, sources, self.generation, end=self._end, max_length=self.max_length, rows=rows)

    def _attention(self, network: nn.Module, sources: Sequences, found: Sequences, count: int) -> list[SampleAttention]:
        """Where the network looks in the first `count` samples while it puts out what it did, with the end."""
        count = min(count, len(sources))
        if not count:
            return []
        some = Sequences(sources.values[:count], sources.lengths[:count])
        previous = F.pad(found.values[:count], (1, 0), value=self._begin)
        make = cast(Callable[..., Mapping[str, Tensor]], network.attention_maps)
        maps = make(some.values, some.lengths, previous, found.lengths[:count] + 1)
        crossed = {name: values.float().cpu().numpy() for name, values in maps.items() if "cross" in name}
        shown = []
        for row in range(count if crossed else 0):
            of_source, of_target = int(some.lengths[row]), int(found.lengths[row]) + 1
            source = _names(some.values[row, :of_source], self._vocabularies[0])
            target = [*_names(found.values[row, : of_target - 1], self._vocabularies[1]), "end"]
            own = {name: values[row, :, :of_target, :of_source] for name, values in crossed.items()}
            shown.append(SampleAttention(source, target, own))
        return shown

    def _check(self, network: nn.Module) -> None:
        """Raise ConfigError for a network without single steps, or without its own outputs as inputs in training."""
        if not isinstance(network, StepwiseNetwork) or not reads_targets(network):
            rule = f"requires a model from one sequence to another, and {type(network).__name__} is none"
            remedy = "Use model=seq2seq_lstm, model=seq2seq_gru or model=transformer, or data such as data=topics"
            raise ConfigError.one("task", "seq2seq", rule, remedy, code="incompatible-data")
        if min(self._ratio, 1.0 if self._last_ratio is None else self._last_ratio) < 1 and not getattr(
            network, "feeds_back", False
        ):
            rule = f"is not supported with {type(network).__name__}, which reads all tokens of a target at once"
            remedy = "Set task.teacher_forcing=1 and task.teacher_forcing_end=null, or use model=seq2seq_lstm"
            raise ConfigError.one("task.teacher_forcing", f"{self._ratio:g}", rule, remedy, code="cannot-combine")


def _targets(batch: Batch) -> Sequences:
    return _sequences(batch.targets)


def _sequences(given: Field | None) -> Sequences:
    if isinstance(given, Sequences):
        return given
    raise TypeError(f"seq2seq requires sequences, got {type(given).__name__}")


def _names(values: Tensor, vocabulary: object) -> list[str]:
    """Names of the positions: tokens, or the numbers of steps."""
    if values.is_floating_point():
        return [str(number) for number in range(len(values))]
    tokens = getattr(vocabulary, "tokens", None)
    return [str(number) if tokens is None else str(tokens[number]) for number in values.tolist()]
