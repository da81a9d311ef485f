"""A grid takes every point of every branch once, the baseline's included, whoever asks (T4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from refusals import refused

from dlexp.errors import ConfigError
from dlexp.tune.samplers import Rules
from dlexp.tune.search_space.grid import first_untried, grid_points
from dlexp.tune.search_space.space import Space, parse_dimension
from dlexp.tune.space_preview import cost
from dlexp.tune.study import BaseConfig, Study

RULES = Rules("grid", 0, 3, "none", 0, 0, 25.0, False, "val/loss", 10)
SPACE = Space(
    {"optim": ("sgd", "adam")},
    (
        parse_dimension("model.hidden", {"repeat": [1, 2], "choice": [8, 16]}),
        parse_dimension("optim.momentum", {"float": [0.1, 0.5], "step": 0.2}, "optim=sgd"),
    ),
)
POINTS = 4 * 3 + 4  # momentum is no part of adam


def opened(folder: Path, space: Space = SPACE) -> Study:
    return Study("s", None, folder, RULES, space)


def run(study: Study, total: int, chosen: dict[str, str], values: dict[str, Any]) -> None:
    while (proposal := study.ask(total, chosen, values)) is not None:
        study.complete(proposal.trial, 1.0)


def test_the_points_of_a_branch_are_counted_once() -> None:
    found = grid_points(SPACE, seed=0)
    assert len(found) == POINTS
    assert len({str(sorted(point.items())) for point in found}) == POINTS
    assert grid_points(SPACE, seed=0) == found
    assert grid_points(SPACE, seed=1) != found
    assert cost(SPACE, RULES, 100).trials == POINTS + 1
    assert cost(SPACE, RULES, 5).trials == 5


def test_the_same_number_written_in_two_ways_is_one_point() -> None:
    grid = [{"x": 0.1 + 0.2, "y": True}, {"x": 0.4, "y": True}]
    assert first_untried(grid, [{"y": True, "x": 0.3}]) == {"x": 0.4, "y": True}
    assert first_untried(grid, [{"x": 0.3, "y": 1}]) == grid[0]
    assert first_untried(grid, grid) is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"model.hidden": [8, 8], "optim.momentum": 0.3}, POINTS),  # the baseline is a point
        ({"model.hidden": [8, 16], "optim.momentum": 0.3}, POINTS + 1),  # it is none
        ({"model.hidden": [8, 8], "optim.momentum": 0.35}, POINTS + 1),
    ],
)
def test_the_baseline_uses_up_its_point_and_no_other(tmp_path: Path, values: dict[str, Any], expected: int) -> None:
    study = opened(tmp_path)
    study.begin(BaseConfig({"optim": "sgd"}, values))
    run(study, 3, {"optim": "sgd"}, values)
    run(opened(tmp_path), 7, {"optim": "sgd"}, values)
    study = opened(tmp_path)
    cut = study.ask(99, {"optim": "sgd"}, values)
    assert cut is not None
    study.requeue(cut.trial, "stopped")
    run(study, 99, {"optim": "sgd"}, values)
    assert study.num_finished() == expected
    counted = [trial.params for trial in study.trials() if "requeued" not in trial.user_attrs]
    assert len({str(sorted(found.items())) for found in counted}) == expected


def test_two_processes_share_a_grid(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    asked = [study.ask(99, {}, {}) for _ in range(POINTS // 2) for study in (one, two)]
    assert len({str(sorted(found.trial.params.items())) for found in asked if found}) == POINTS
    assert one.ask(99, {}, {}) is None


def test_an_endless_grid_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        opened(tmp_path, Space({}, (parse_dimension("x", {"float": [0, 1]}),)))
    refused(error.value, "invalid-value", "search.sampler", "search.sampler=tpe")
    many = tuple(parse_dimension(f"x{n}", {"int": [1, 100]}) for n in range(4))
    with pytest.raises(ConfigError, match="1,000,000") as error:
        opened(tmp_path, Space({}, many))
    refused(error.value, "too-large", "search.sampler")
    assert list(tmp_path.iterdir()) == []


def test_the_bound_on_the_cost_takes_the_longest_training(tmp_path: Path) -> None:
    longer = parse_dimension("trainer.epochs", {"int": [5, 60]})
    assert cost(Space({}, (longer,)), RULES, 7).epochs == 60
    assert cost(Space({}, (parse_dimension("trainer.epochs", {"choice": [5, 20]}),)), RULES, 7).epochs == 20
    assert cost(SPACE, RULES, 7).epochs == RULES.epochs
