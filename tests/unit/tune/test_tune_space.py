"""Search spaces: what can be written, what is drawn from it, and which branch a value belongs to (T11)."""

from __future__ import annotations

import json
from typing import Any

import optuna
import pytest

from dlexp.tune.search_space.grid import grid_points
from dlexp.tune.search_space.space import Dimension, Space, is_spec, parse_dimension
from dlexp.tune.space_preview import samples

SPACE = Space(
    {"optim": ("sgd", "adamw")},
    (
        parse_dimension("model.width", {"int": [4, 12], "step": 4}),
        parse_dimension("model.hidden", {"repeat": [1, 3], "choice": [8, 16]}),
        parse_dimension("optim.lr", {"log": [1e-4, 1e-1]}, "optim=sgd"),
        parse_dimension("optim.lr", {"log": [1e-6, 1e-3]}, "optim=adamw"),
        parse_dimension("optim.momentum", {"float": [0.5, 0.9], "step": 0.1}, "optim=sgd"),
    ),
)


def drawn(space: Space, params: dict[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial(params)
    return space.suggest(study.ask())


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"log": [1e-4, 1e-1]}, Dimension("k", "float", "", 1e-4, 1e-1, log=True)),
        ({"float": [0, 1]}, Dimension("k", "float", "", 0.0, 1.0)),
        ({"float": [0, 1], "step": 0.3}, Dimension("k", "float", "", 0.0, 0.8999999999999999, 0.3)),
        ({"int": [1, 64], "log": True}, Dimension("k", "int", "", 1.0, 64.0, log=True)),
        ({"int": [1, 10], "step": 4}, Dimension("k", "int", "", 1.0, 9.0, 4)),
        ({"choice": ["a", None, 1]}, Dimension("k", "choice", choices=("a", None, 1))),
        ({"repeat": [1, 3], "choice": [8]}, Dimension("k", "repeat", "", 1.0, 3.0, choices=(8,))),
    ],
)
def test_a_specification_becomes_a_dimension(spec: dict[str, Any], expected: Dimension) -> None:
    assert is_spec(spec)
    assert parse_dimension("k", spec) == expected


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"uniform": [0, 1]}, "{log: "),
        ({"log": [1, 2], "size": 3}, "{log: "),
        ({"float": [1, 0]}, r"float .*\[low, high\].*\[1, 0\]"),
        ({"float": [1]}, r"float .*\[low, high\]"),
        ({"float": [0, float("inf")]}, r"float .*\[low, high\]"),
        ({"float": [True, 2]}, r"float .*\[low, high\]"),
        ({"float": ["a", "b"]}, r"float .*\[low, high\]"),
        ({"int": [0.5, 2]}, "int .*whole numbers"),
        ({"repeat": [1, 2.5], "choice": [1]}, "repeat .*whole numbers"),
        ({"log": [0, 1]}, "log.* 0$"),
        ({"int": [1, 8], "log": True, "step": 2}, "log.*step"),
        ({"float": [0, 1], "step": 0}, "step .* 0$"),
        ({"float": [0, 1], "step": "x"}, "step .*'x'"),
        ({"int": [0, 4], "step": 1.5}, "step .*whole number.* 1.5"),
        ({"choice": []}, r"choice .*got \[\]"),
        ({"choice": 3}, "choice .*got 3"),
        ({"repeat": [1, 2]}, "choice .*got null"),
        ({"repeat": [1, 2], "choice": [1, [2]]}, r"choice .*repeat.*got \[2\]"),
        ({"choice": [{"a": None}, 1]}, "choice .*got {a: null}"),
        ({"choice": [8, 16, 8]}, "choice .*once, got 8 twice"),
        ({"choice": [[1, 2], [1.0, 2]]}, "choice .*once, got"),
        ({"choice": [None, None]}, "choice .*once, got null twice"),
    ],
)
def test_a_specification_that_means_nothing_is_refused_with_the_reason(spec: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_dimension("k", spec)


def test_a_branch_draws_its_own_values_and_no_others() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    seen = set()
    for _ in range(40):
        trial = study.ask()
        chosen, values = SPACE.suggest(trial)
        seen.add(chosen["optim"])
        if chosen["optim"] == "adamw":
            assert "optim.momentum" not in values
            assert not any("sgd" in name for name in trial.params if name != "optim")
            assert 1e-6 <= values["optim.lr"] <= 1e-3
            assert trial.params["optim=adamw/optim.lr"] == values["optim.lr"]
        else:
            assert 0.5 <= values["optim.momentum"] <= 0.9
            assert 1e-4 <= values["optim.lr"] <= 1e-1
        assert values["model.width"] in (4, 8, 12)
        assert 1 <= len(values["model.hidden"]) <= 3
        assert len(set(values["model.hidden"])) == 1
    assert seen == {"sgd", "adamw"}


def test_what_is_encoded_is_what_is_drawn() -> None:
    values = {"model.width": 8, "model.hidden": [16, 16], "optim.lr": 0.01, "optim.momentum": 0.7}
    params = SPACE.encode({"optim": "sgd"}, values)
    assert params == {
        "optim": "sgd",
        "model.width": 8,
        "model.hidden.length": 2,
        "model.hidden.each": 16,
        "optim=sgd/optim.lr": 0.01,
        "optim=sgd/optim.momentum": 0.7,
    }
    chosen, again = drawn(SPACE, params)
    assert chosen == {"optim": "sgd"}
    assert again == values


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ({"float": [0, 1]}, 2.0),
        ({"float": [0, 1]}, None),
        ({"float": [0, 1]}, True),
        ({"float": [0, 1], "step": 0.25}, 0.3),
        ({"int": [1, 9]}, 2.5),
        ({"int": [1, 9], "log": True}, 2.5),
        ({"int": [0, 9], "step": 3}, 4),
        ({"choice": ["a"]}, "b"),
        ({"repeat": [1, 2], "choice": [8, 16]}, [8, 16]),
        ({"repeat": [1, 2], "choice": [8, 16]}, [8, 8, 8]),
        ({"repeat": [1, 2], "choice": [8, 16]}, []),
        ({"repeat": [1, 2], "choice": [8, 16]}, 8),
    ],
)
def test_a_value_outside_the_space_has_no_parameters(spec: dict[str, Any], value: object) -> None:
    assert parse_dimension("k", spec).encode(value) == {}


def test_the_edges_are_what_can_be_drawn() -> None:
    assert parse_dimension("k", {"int": [1, 10], "step": 4}).extremes() == [1, 9]
    assert parse_dimension("k", {"log": [0.1, 1]}).extremes() == [0.1, 1.0]
    assert parse_dimension("k", {"choice": ["a", "b"]}).extremes() == ["a", "b"]
    assert parse_dimension("k", {"repeat": [1, 2], "choice": [8]}).extremes() == [[8], [8, 8]]


def test_a_fingerprint_changes_with_anything_that_varies() -> None:
    assert SPACE.fingerprint() == Space(SPACE.groups, SPACE.dimensions).fingerprint()
    others = [
        Space(SPACE.groups, SPACE.dimensions[1:]),
        Space({"optim": ("adamw", "sgd")}, SPACE.dimensions),
        Space(SPACE.groups, (*SPACE.dimensions[:-1], parse_dimension("optim.momentum", {"float": [0.5, 0.9]}))),
    ]
    assert len({space.fingerprint() for space in (SPACE, *others)}) == 4


def test_the_space_is_told_in_words() -> None:
    assert SPACE.described() == {
        "optim": "one of sgd, adamw",
        "model.width": "whole numbers 4 to 12, in steps of 4",
        "model.hidden": "1 to 3 times one of 8, 16",
        "optim=sgd/optim.lr": "0.0001 to 0.1, logarithmic",
        "optim=adamw/optim.lr": "1e-06 to 0.001, logarithmic",
        "optim=sgd/optim.momentum": "0.5 to 0.9, in steps of 0.1",
    }


def test_three_configurations_are_shown_of_every_branch() -> None:
    found = samples(SPACE, seed=0, each=3)
    assert [sample["optim"] for sample in found] == ["sgd"] * 3 + ["adamw"] * 3
    assert found == samples(SPACE, seed=0, each=3)
    assert all("optim.momentum" in sample for sample in found[:3])
    assert not any("optim.momentum" in sample for sample in found[3:])


def test_what_was_drawn_is_read_back_from_its_parameters() -> None:
    dimensions = (
        parse_dimension("model.hidden", {"repeat": [1, 4], "choice": [64, 128]}),
        parse_dimension("optim.lr", {"log": [1e-4, 1e-1]}, "optim=sgd"),
        parse_dimension("optim.eps", {"choice": [1e-8, 1e-6]}, "optim=adam"),
    )
    space = Space({"optim": ("sgd", "adam")}, dimensions)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trials = [study.ask() for _ in range(20)]
    suggested = [space.suggest(trial) for trial in trials]
    assert {chosen["optim"] for chosen, _ in suggested} == {"sgd", "adam"}
    assert [space.decode(trial.params) for trial in trials] == suggested


# Optuna takes 1 for true among such choices, and has no lists.
@pytest.mark.parametrize(
    "choices",
    [
        [[64], [128, 64], []],
        [None, 1, 2],
        [True, 1, 0, False],
        [None, [8], "a"],
        [1, 1.5, True],
        [[True], [1]],
        ["1", 1],
    ],
)
def test_every_choice_comes_back_as_it_was_written(choices: list[Any]) -> None:
    dimension = parse_dimension("x", {"choice": choices})
    space = Space({}, (dimension,))
    assert Space.from_json(json.loads(json.dumps(space.as_json()))) == space
    study = optuna.create_study(storage=optuna.storages.InMemoryStorage())
    for choice in choices:
        params = dimension.encode(choice)
        study.enqueue_trial(params)
        _, values = space.suggest(study.ask())
        trial = study.trials[-1]
        assert repr(values["x"]) == repr(choice)
        assert repr(space.decode(trial.params)[1]["x"]) == repr(choice)
        assert trial.params == params
        assert dimension.distributions()["x"] == trial.distributions["x"]
    assert {repr(point["x"]) for point in grid_points(space, 0)} == {repr(kept) for kept in dimension.stored}
    assert dimension.encode("none of them") == {}


def test_choices_are_told_as_they_are_written() -> None:
    space = Space({}, (parse_dimension("x", {"choice": [None, True, [128, None], "a", 0.5]}),))
    assert space.described() == {"x": "one of null, true, [128, null], a, 0.5"}
