"""Recognition without an alignment: decoding against all alignments, error rates against torchmetrics."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby, product

import pytest
import torch
from refusals import refused
from torch import Tensor, nn
from torchmetrics.functional.text import char_error_rate, word_error_rate

from dlexp.errors import ConfigError
from dlexp.losses.no_loss import NoLoss
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.tokens.edit_distance import edit_distance
from dlexp.sequence_specs import SeriesSpec, TokenTargetSpec
from dlexp.specs import DataSpec
from dlexp.tasks.ctc import Ctc, best_path, padded_rows, prefix_beam
from dlexp.text.vocabulary import learn_vocabulary
from dlexp.types import Batch, Prediction, Sequences

LETTERS = learn_vocabulary(["ab c"], "character")
SPEC = DataSpec(SeriesSpec(3, 9), TokenTargetSpec(len(LETTERS), 5, vocabulary=LETTERS))
BLANK = len(LETTERS)


class Steps(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.Linear(3, BLANK + 1)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        found: Tensor = self.scores(values)
        return found


def probabilities(log_probs: Tensor, blank: int) -> dict[tuple[int, ...], float]:
    """Target -> the sum over all alignments."""
    found: dict[tuple[int, ...], float] = defaultdict(float)
    for path in product(range(log_probs.shape[1]), repeat=len(log_probs)):
        target = tuple(token for token, _ in groupby(path) if token != blank)
        found[target] += float(sum(log_probs[step, token] for step, token in enumerate(path)).exp())  # type: ignore[union-attr]
    return found


@pytest.mark.parametrize("seed", range(8))
def test_a_wide_beam_finds_the_most_probable_target(seed: int) -> None:
    drawn = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    log_probs = drawn.log_softmax(1)
    every = probabilities(log_probs, 2)
    assert sum(every.values()) == pytest.approx(1)
    assert tuple(prefix_beam(log_probs, 2, 100)) == max(every, key=lambda target: every[target])
    path = log_probs.argmax(1).tolist()
    assert best_path(log_probs, 2) == [token for token, _ in groupby(path) if token != 2]
    assert every[tuple(prefix_beam(log_probs, 2, 4))] >= every[tuple(best_path(log_probs, 2))] - 1e-12


def test_nothing_is_recognized_in_no_steps() -> None:
    nothing = torch.zeros(0, 3)
    assert best_path(nothing, 2) == prefix_beam(nothing, 2, 3) == []


def texts(*given: str) -> Sequences:
    rows = [LETTERS.encode(text) for text in given]
    lengths = torch.tensor([len(row) for row in rows])
    values = torch.zeros(len(rows), int(lengths.max()), dtype=torch.int64)
    for number, row in enumerate(rows):
        values[number, : len(row)] = torch.tensor(row)
    return Sequences(values, lengths)


def batch(lengths: tuple[int, ...] = (9, 6, 4), targets: tuple[str, ...] = ("ab ca", "ab", "")) -> Batch:
    values = torch.randn(3, 9, 3, generator=torch.Generator().manual_seed(0))
    return Batch(Sequences(values, torch.tensor(lengths)), texts(*targets), torch.arange(3))


def test_the_loss_is_a_mean_over_tokens_and_padding_changes_nothing() -> None:
    torch.manual_seed(0)
    task, networks = Ctc(spec=SPEC, loss=NoLoss()), {"model": Steps()}
    given = batch()
    assert isinstance(given.inputs, Sequences)
    assert isinstance(given.targets, Sequences)
    whole = task.loss("train", networks, given).value
    total = torch.zeros(())
    for row in range(3):
        one = slice(row, row + 1)
        length, size = int(given.inputs.lengths[row]), int(given.targets.lengths[row])
        alone = Batch(
            Sequences(given.inputs.values[one, :length], given.inputs.lengths[one]),
            Sequences(given.targets.values[one, :size], given.targets.lengths[one]),
            given.indices[one],
        )
        total = total + task.loss("train", networks, alone).value * size
    assert int(task.loss_weight("train", given)) == 7
    # A target of no token adds the probability of blanks alone to the sum, and nothing to the count.
    blanks = -networks["model"](given.inputs.values, None)[2, :4].log_softmax(1)[:, BLANK].sum()
    torch.testing.assert_close(whole, (total + blanks) / 7)


def test_a_target_without_room_is_refused_by_name() -> None:
    task, networks = Ctc(spec=SPEC, loss=NoLoss()), {"model": Steps()}
    with pytest.raises(ValueError, match="sample 1 has 2 steps, and its target needs 3"):
        task.loss("train", networks, batch((9, 2, 4), ("ab ca", "aa", "")))


def test_targets_with_an_end_are_for_another_task() -> None:
    targets = TokenTargetSpec(len(LETTERS), 5, 1, 2, LETTERS)
    with pytest.raises(ValueError, match="task=seq2seq"):
        Ctc(spec=DataSpec(SPEC.inputs, targets), loss=NoLoss())


def test_error_rates_are_those_of_torchmetrics() -> None:
    found, true = ["ab ca", "a", "bb b", ""], ["ab cc", "ab", "b b", "ca"]
    state = Ctc(spec=SPEC, loss=NoLoss()).metric_state()
    for some in (slice(0, 1), slice(1, 4)):
        rows = [part.values.masked_fill(~part.mask, -1) for part in (texts(*found[some]), texts(*true[some]))]
        state.update(Prediction(rows[0], rows[1], torch.tensor(1.0), torch.arange(len(rows[0]))))
    metrics = state.compute()
    assert metrics["cer"] == pytest.approx(float(char_error_rate(found, true)))
    assert metrics["wer"] == pytest.approx(float(word_error_rate(found, true)))
    assert metrics["exact_match"] == 0
    report = Ctc(spec=SPEC, loss=NoLoss()).report(SPEC, state, Resampling(100))
    assert report.metrics == pytest.approx(metrics)
    assert len(list(report.tables["predictions"].rows)) == 4
    assert report.intervals["cer"].low is not None


@pytest.mark.parametrize(
    ("found", "true", "edits"), [("", "", 0), ("ab", "", 2), ("kitten", "sitting", 3), ("ab", "ba", 2)]
)
def test_edit_distance(found: str, true: str, edits: int) -> None:
    assert edit_distance(found, true) == edits == edit_distance(true, found)


def test_a_batch_of_which_nothing_is_recognized_has_a_row_each() -> None:
    assert padded_rows([[], []]).shape == (2, 0)
    assert padded_rows([[1], []]).tolist() == [[1], [-1]]


def test_a_network_that_reads_its_target_is_refused() -> None:
    class Translator(nn.Module):
        def forward(self, values: Tensor, lengths: Tensor, previous: Tensor, previous_lengths: Tensor) -> Tensor:
            return values

    task = Ctc(spec=SPEC, loss=NoLoss())
    assert isinstance(task.around(Steps()), Steps)
    with pytest.raises(ConfigError) as caught:
        task.around(Translator())
    refused(caught.value, "incompatible-data", "model", "model=gru")
