"""Parameters that are frozen, unused or never moved; batch normalization of a few samples; memory that fades."""

from __future__ import annotations

import pytest
from doctor_toys.network_case_toys import case, seen, weight

from dlexp.diagnosis.case import ModeLosses
from dlexp.diagnosis.changes import UNFROZEN
from dlexp.diagnosis.layer_measures import MemoryMeasure
from dlexp.diagnosis.rules.network.batch_norm import batch_norm_small_batch
from dlexp.diagnosis.rules.network.memory import fading_memory
from dlexp.diagnosis.rules.network.parameters import frozen_parameters, unused_parameters

FROZEN = weight(is_frozen=True, gradient=None, moved=0.0)
HEAD = weight("model.head.weight")


@pytest.mark.parametrize(("loss", "severity"), [(0.5, "warning"), (1.0, "note")])
def test_what_a_network_freezes_itself_is_a_fault_if_training_it_pays(loss: float, severity: str) -> None:
    (found,) = frozen_parameters(case(seen(), seen(parameters=[FROZEN, HEAD]), {UNFROZEN.name: loss}))
    assert (found.severity, found.remedy) == (severity, ())
    assert "first.weight" in found.what


def asked(**settings: object) -> list[str]:
    frozen = seen(parameters=[weight(is_frozen=True, gradient=None, moved=0.0, is_asked=True), HEAD])
    given = {"trainer.freeze": ["first.*"], **settings}
    found = list(frozen_parameters(case(seen(), frozen, {"trainer.freeze=[]": 0.5}, settings=given)))
    assert all(one.remedy == ("trainer.freeze=[]",) for one in found)
    return [one.severity for one in found]


def test_what_a_run_freezes_is_a_fault_only_where_nothing_was_learned_before() -> None:
    assert asked() == ["warning"]
    assert asked(init_from="other/run") == ["note"]
    frozen = seen(parameters=[weight(is_frozen=True, gradient=None, is_asked=True), HEAD])
    assert not list(frozen_parameters(case(seen(), frozen, settings={"trainer.freeze": ["first.*"]})))


def test_a_weight_with_a_gradient_that_never_moved_is_told() -> None:
    still = [weight(moved=0.0), HEAD]
    (found,) = frozen_parameters(case(seen(parameters=still), seen(parameters=still)))
    assert found.severity == "warning"
    nothing = [weight(moved=0.0), weight("model.head.weight", moved=0.0)]
    assert not list(frozen_parameters(case(seen(parameters=nothing), seen(parameters=nothing))))


def unused(share: float, called: bool) -> list[str]:
    lost = weight("model.extra.weight", elements=int(1000 * share), is_used=False, gradient=None)
    kept = weight(elements=1000 - int(1000 * share))
    now = seen(parameters=[lost, kept])
    if not called:
        now.layers[:] = [one for one in now.layers if one.name != "extra"]  # type: ignore[index]
    (found,) = unused_parameters(case(now, now))
    assert ("never calls" in found.cause) is not called
    return [found.severity]


def test_parameters_without_a_gradient_are_reported_by_their_share() -> None:
    assert unused(0.8, called=True) == ["error"]
    assert unused(0.3, called=False) == ["warning"]
    assert unused(0.005, called=False) == ["note"]


def test_a_parameter_whose_gradient_vanishes_later_was_used() -> None:
    before, after = seen(parameters=[weight()]), seen(parameters=[weight(is_used=False, gradient=None)])
    assert not list(unused_parameters(case(before, after)))
    assert not list(unused_parameters(case(before, before)))


def norms(evaluation: float, batch: float, smallest: int = 4, refreshed: float = 1.0) -> ModeLosses:
    return ModeLosses(evaluation, batch, batch, smallest, 2, refreshed)


def test_statistics_of_few_samples_are_mended_by_a_larger_batch_or_another_norm() -> None:
    sick = seen(losses=norms(1.0, 1.5))
    trials = {"data.batch_size=32": 0.8, "model.norm=group": 0.5}
    told = case(seen(), sick, trials, batch_size=4, settings={"data.batch_size": 4, "model.norm": "batch"})
    (found,) = batch_norm_small_batch(told)
    assert (found.severity, found.remedy) == ("warning", ("model.norm=group",))
    (note,) = batch_norm_small_batch(case(seen(), sick, batch_size=4, settings={"data.batch_size": 4}))
    assert note.severity == "note"


def test_batches_of_usual_size_and_networks_without_the_layer_are_left_alone() -> None:
    assert not list(batch_norm_small_batch(case(seen(), seen(losses=norms(1.0, 1.05, 32)), batch_size=32)))
    assert not list(batch_norm_small_batch(case(seen(), seen(losses=ModeLosses(1.0, 1.0, 2.0, 2)), batch_size=2)))


def test_running_statistics_that_lag_behind_are_told() -> None:
    (found,) = batch_norm_small_batch(case(seen(), seen(losses=norms(3.0, 1.0, 32)), batch_size=32))
    assert found.severity == "warning"
    fresh = seen(losses=norms(3.0, 1.0, 32, refreshed=2.9))
    assert not list(batch_norm_small_batch(case(seen(), fresh, batch_size=32)))


RNN = {"model": "rnn"}


def test_memory_that_fades_is_mended_by_gates() -> None:
    faded = seen(memory=MemoryMeasure("model.rnn", 50, 5, 1e-9))
    (found,) = fading_memory(case(faded, faded, {"model=gru": 0.4, "model=lstm": 0.6}, options=RNN))
    assert (found.severity, found.remedy) == ("warning", ("model=gru",))


def test_memory_that_fades_in_a_network_that_learned_nothing_is_mended_by_what_learns_in_a_longer_trial() -> None:
    faded = seen(2.3, memory=MemoryMeasure("model.rnn", 50, 5, 1e-9))
    (before,) = fading_memory(case(faded, None, {"model=gru": 2.3, "model=lstm": 1.0}, options=RNN))
    assert before.severity == "note"  # nothing is learned before training
    (found,) = fading_memory(case(faded, faded, {"model=gru": 2.3, "model=lstm": 1.0}, options=RNN))
    assert (found.severity, found.remedy) == ("warning", ("model=lstm",))


def test_the_reach_of_weights_that_learned_nothing_is_that_at_the_start() -> None:
    start = seen(2.3, memory=MemoryMeasure("model.rnn", 40, 8, 1e-10))
    stuck = seen(2.3, memory=MemoryMeasure("model.rnn", 40, 21, 1e-4))
    (found,) = fading_memory(case(start, stuck, {"model=gru": 1.0}, options=RNN))
    assert (found.severity, found.remedy) == ("warning", ("model=gru",)) and "reaches 8 of 40" in found.what
    learned = seen(0.4, memory=MemoryMeasure("model.rnn", 40, 21, 1e-4))
    assert not list(fading_memory(case(start, learned, {"model=gru": 0.1}, options=RNN)))


def test_a_short_reach_is_a_note_where_nothing_better_is_known_and_a_long_one_is_nothing() -> None:
    faded = seen(0.1, memory=MemoryMeasure("model.rnn", 50, 5, 1e-9))
    (found,) = fading_memory(case(faded, faded, options=RNN))
    assert found.severity == "note" and "Use gates" in found.action
    (gated,) = fading_memory(case(faded, faded, options={"model": "numpy_lstm"}))
    assert gated.action == "Use attention, or shorter sequences."
    assert not list(fading_memory(case(seen(memory=MemoryMeasure("model.rnn", 50, 30, 0.1)), options=RNN)))
    assert not list(fading_memory(case(seen(), seen())))
