"""An autoencoder of series: what is behind the end of a series counts nowhere."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dlexp.errors import ConfigError
from dlexp.models.generative.lstm_autoencoder import LstmAutoencoder, lstm_autoencoder
from dlexp.sequence_specs import SeriesSpec
from dlexp.specs import DataSpec, TableSpec
from dlexp.tasks.generative.base import AT_STEPS, Sampling
from dlexp.tasks.generative.series_reconstruction import SeriesReconstruction
from dlexp.types import Batch, Sequences

SPEC = DataSpec(SeriesSpec(2, 6), None)
LENGTHS = torch.tensor([6, 3])


def batch(behind: float = 0.0) -> Batch:
    values = torch.linspace(-1, 1, 24).view(2, 6, 2).clone()
    values[1, 3:] = behind
    return Batch(Sequences(values, LENGTHS), None, torch.arange(2))


@pytest.fixture
def network() -> LstmAutoencoder:
    torch.manual_seed(0)
    return lstm_autoencoder(in_channels=2, max_length=6, units=5, layers=2, latent=3)


def test_the_end_of_a_series_is_where_it_ends(network: LstmAutoencoder) -> None:
    task = SeriesReconstruction(spec=SPEC, loss=nn.Identity())
    first, other = (task.predict({"model": network}, batch(value)) for value in (0.0, 50.0))
    assert torch.equal(first.extra["reconstruction"], other.extra["reconstruction"])
    assert first.extra[AT_STEPS].shape == (2, 6)
    assert not first.extra[AT_STEPS][1, 3:].any()


def test_the_error_of_a_series_is_the_mean_over_its_own_steps(network: LstmAutoencoder) -> None:
    task, given = SeriesReconstruction(spec=SPEC, loss=nn.Identity()), batch()
    found = task.predict({"model": network}, given)
    assert isinstance(given.inputs, Sequences)
    errors = (found.outputs - given.inputs.values).square().mean(2)
    by_hand = torch.stack([errors[0].mean(), errors[1, :3].mean()])
    assert torch.allclose(found.extra["reconstruction"], by_hand)
    assert task.loss("train", {"model": network}, given).value.item() == pytest.approx(by_hand.mean().item())


def test_latents_are_decoded_to_the_same_steps(network: LstmAutoencoder) -> None:
    task, given = SeriesReconstruction(spec=SPEC, loss=nn.Identity()), batch()
    made = task.decoded({"model": network}, task.encoded({"model": network}, given), Sampling(0, torch.arange(2)))
    assert torch.equal(made, task.predict({"model": network}, given).outputs)


def test_other_data_and_other_networks_are_refused(network: LstmAutoencoder) -> None:
    with pytest.raises(ValueError, match="requires series"):
        SeriesReconstruction(spec=DataSpec(TableSpec(2), None), loss=nn.Identity())
    with pytest.raises(ConfigError) as found:
        SeriesReconstruction(spec=SPEC, loss=nn.Identity()).predict({"model": nn.Linear(2, 2)}, batch())
    assert found.value.problems[0].remedy == "Use model=lstm_autoencoder"


def test_a_series_is_scored_by_its_mean_error_or_by_its_worst_step(network: LstmAutoencoder) -> None:
    task = SeriesReconstruction(spec=SPEC, loss=nn.Identity(), score_by="step")
    found = task.predict({"model": network}, batch())
    assert torch.equal(found.extra[task.score], found.extra[AT_STEPS].amax(1))
    assert SeriesReconstruction(spec=SPEC, loss=nn.Identity()).score == "reconstruction"
    columns = task.prediction_columns(SPEC, found).columns
    assert columns["worst_step"] == found.extra[AT_STEPS].argmax(1).tolist()
    with pytest.raises(ValueError, match="available: series, step"):
        SeriesReconstruction(spec=SPEC, loss=nn.Identity(), score_by="day")
