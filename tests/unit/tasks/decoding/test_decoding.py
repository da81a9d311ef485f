"""Generation: brute force over all sequences, beams, sampling, ragged batches; by the stepwise protocol alone."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from dlexp.errors import ConfigError
from dlexp.models.seq2seq.builders import seq2seq_gru, seq2seq_lstm
from dlexp.models.seq2seq.network import Seq2SeqNetwork
from dlexp.tasks.decoding.generation import generate
from dlexp.tasks.decoding.options import GenerationOptions
from dlexp.tasks.decoding.sampling import limited_logits
from dlexp.tasks.decoding.steps import Generated
from dlexp.types import Sequences

_END, _BEGIN, _TOKENS, _MOST = 2, 1, 5, 4
_LENGTHS = torch.tensor([7, 3, 1, 0, 5, 7])


def _network(attention: str = "additive", seed: int = 0) -> Seq2SeqNetwork:
    torch.manual_seed(seed)
    make = seq2seq_gru if attention == "dot" else seq2seq_lstm
    made = make(num_outputs=_TOKENS, begin=_BEGIN, vocabulary_size=9, attention=attention, units=16, token=8, layers=2)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(3)  # probabilities far from equal
    return made.eval()


def _sources() -> Sequences:
    values = torch.randint(3, 9, (6, 7), generator=torch.Generator().manual_seed(1))
    return Sequences(values * (torch.arange(7) < _LENGTHS[:, None]), _LENGTHS)


def _made(options: GenerationOptions, network: Seq2SeqNetwork, most: int = _MOST) -> Generated:
    return generate(network, _sources(), options, end=_END, max_length=most)


def _rows(found: Generated) -> list[tuple[int, ...]]:
    pairs = zip(found.tokens.values.tolist(), found.tokens.lengths.tolist(), found.finished.tolist(), strict=True)
    return [(*values[:length], *([_END] if ended else [])) for values, length, ended in pairs]


@torch.no_grad()
def _log_p(network: Seq2SeqNetwork, row: int, every: list[tuple[int, ...]]) -> list[float]:
    """The scores of sequences with their ends by one whole pass, without steps and without a state."""
    sources, length, count = _sources(), int(_LENGTHS[row]), len(every)
    lengths = torch.tensor([len(one) for one in every])
    tokens = torch.tensor([[*one, *[0] * (int(lengths.max()) - len(one))] for one in every])
    previous = torch.cat([torch.full((count, 1), _BEGIN), tokens[:, :-1]], 1)
    source = sources.values[row : row + 1, :length].expand(count, -1)
    scores = network(source, _LENGTHS[row : row + 1].expand(count), previous, lengths)
    own = scores.double().log_softmax(-1).gather(2, tokens[:, :, None])[:, :, 0]
    kept = torch.arange(tokens.shape[1]) < lengths[:, None]
    return [float(value) for value in own.masked_fill(~kept, 0).sum(1)]


@pytest.mark.parametrize("attention", ["none", "additive", "dot"])
@pytest.mark.parametrize("penalty", [0.0, 0.7])
def test_wide_beams_find_the_best_of_all_sequences(attention: str, penalty: float) -> None:
    network = _network(attention)
    found = _made(GenerationOptions(beam=300, length_penalty=penalty), network)
    others = [token for token in range(_TOKENS) if token != _END]
    whole = [(*some, _END) for count in range(_MOST) for some in product(others, repeat=count)]
    whole += list(product(others, repeat=_MOST))
    for row, tokens in enumerate(_rows(found)):
        scores = _log_p(network, row, whole)
        worth = [score / len(one) ** penalty for score, one in zip(scores, whole, strict=True)]
        best = worth.index(max(worth))
        assert tokens == whole[best]
        assert float(found.scores[row]) == pytest.approx(scores[best], abs=1e-5)


@pytest.mark.parametrize("attention", ["none", "additive", "dot"])
def test_greedy_steps_equal_whole_passes(attention: str) -> None:
    network = _network(attention)
    found = _made(GenerationOptions(), network)
    for row, tokens in enumerate(_rows(found)):
        own: tuple[int, ...] = ()
        while len(own) < _MOST and (not own or own[-1] != _END):  # everything is recomputed for each token
            scores = _log_p(network, row, [(*own, token) for token in range(_TOKENS)])
            own = (*own, scores.index(max(scores)))
        assert tokens == own
        assert float(found.scores[row]) == pytest.approx(_log_p(network, row, [own])[0], abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_beams_are_never_below_greedy(seed: int, penalty: float) -> None:
    network = _network(seed=seed)
    greedy = _made(GenerationOptions(), network, 8)
    beams = _made(GenerationOptions(beam=4, length_penalty=penalty), network, 8)

    def worth(given: Generated) -> Tensor:
        return given.scores / (given.tokens.lengths + given.finished).clamp(min=1) ** penalty

    assert (worth(beams) >= worth(greedy) - 1e-9).all()
    assert _rows(_made(GenerationOptions(beam=1, length_penalty=penalty), network, 8)) == _rows(greedy)


@pytest.mark.parametrize(
    "options",
    [
        GenerationOptions(),
        GenerationOptions(beam=3),
        GenerationOptions(temperature=1.3, seed=3),
        GenerationOptions(top_k=3, top_p=0.8),
        GenerationOptions(repetition_penalty=1.5),
        GenerationOptions(beam=3, repetition_penalty=1.5),
    ],
)
def test_a_ragged_batch_gives_what_each_gives_alone(options: GenerationOptions) -> None:
    network, sources = _network(), _sources()
    together = _rows(_made(options, network, 6))
    for row, length in enumerate(_LENGTHS.tolist()):
        alone = Sequences(sources.values[row : row + 1, :length], _LENGTHS[row : row + 1])
        found = generate(network, alone, options, end=_END, max_length=6, rows=torch.tensor([row]))
        assert _rows(found) == [together[row]]


def test_sampling_has_the_probabilities_of_the_network() -> None:
    network, count = _network(), 4000
    source = Sequences(torch.full((count, 3), 4), torch.full((count,), 3))
    found = generate(network, source, GenerationOptions(temperature=0.8, seed=7), end=None, max_length=1)
    with torch.no_grad():
        wanted = (network.start(source.values[:1], source.lengths[:1])[0][0] / 0.8).softmax(-1)
    shares = torch.bincount(found.tokens.values[:, 0], minlength=_TOKENS) / count
    assert (shares - wanted).abs().max() < 4 * (0.25 / count) ** 0.5
    other = generate(network, source, GenerationOptions(temperature=0.8, seed=8), end=None, max_length=1)
    assert not torch.equal(found.tokens.values, other.tokens.values)


def test_what_is_left_of_the_probabilities() -> None:
    logits = torch.tensor([[0.5, 0.2, 0.2, 0.1]]).log()
    assert limited_logits(logits, 2, None).isfinite().tolist() == [[True, True, False, False]]  # of equals the first
    assert limited_logits(logits, None, 0.6).isfinite().tolist() == [[True, True, False, False]]
    assert limited_logits(logits, None, 0.5).isfinite().tolist() == [[True, False, False, False]]
    assert limited_logits(logits, None, 1e-6).isfinite().tolist() == [[True, False, False, False]]
    assert limited_logits(logits, 10, 1.0).isfinite().all()
    assert _rows(_made(GenerationOptions(top_k=1), _network())) == _rows(_made(GenerationOptions(), _network()))


def test_a_large_repetition_penalty_repeats_nothing_that_it_need_not() -> None:
    class Loop:
        """Prefers token 3 for ever."""

        def start(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Loop]:
            return torch.tensor([[1.0, 2.0, 0.5, 3.0, 0.8]]), self

        def step(self, tokens: Tensor, state: Loop) -> tuple[Tensor, Loop]:
            return torch.tensor([[1.0, 2.0, 0.5, 3.0, 0.8]]), self

        def select(self, positions: Tensor) -> Loop:
            return self

    inputs, prompt = (
        Sequences(torch.zeros(1, 1).long(), torch.ones(1).long()),
        Sequences(torch.tensor([[1]]), torch.ones(1).long()),
    )

    def tokens(penalty: float, prompts: Sequences | None = None) -> list[int]:
        options = GenerationOptions(repetition_penalty=penalty)
        found = generate(Loop(), inputs, options, end=None, max_length=3, prompts=prompts)
        return found.tokens.values[0].tolist()

    assert tokens(1.0) == [3, 3, 3]
    assert tokens(100.0) == [3, 1, 0]
    assert tokens(100.0, prompt) == [3, 0, 4]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"beam": 0}, ["--beam"]),
        ({"temperature": 0.0, "top_p": 1.5}, ["--temperature", "--top-p"]),
        ({"beam": 2, "top_k": 5}, ["--beam"]),
        ({"repetition_penalty": 0.0, "max_length": 0, "top_k": 0, "length_penalty": -1.0}, None),
    ],
)
def test_wrong_options_are_told_at_once(values: dict[str, float], words: list[str] | None) -> None:
    with pytest.raises(ConfigError) as caught:
        GenerationOptions.of(values)
    named = [problem.where for problem in caught.value.problems]
    assert set(named) == set(words or [f"--{name.replace('_', '-')}" for name in values])


def test_an_unknown_option_is_told_with_what_is_meant() -> None:
    with pytest.raises(ConfigError, match="temperature"):
        GenerationOptions.of({"temprature": 1.0})
