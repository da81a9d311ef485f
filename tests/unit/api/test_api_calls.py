"""A call with arguments that a function does not have is answered with the call that was meant."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import dlexp
from dlexp.errors import ConfigError

train: Callable[..., Any] = dlexp.train  # calls that the types refuse
FRAME = pd.DataFrame({"a": [1, 2], "y": [0, 1]})


def refused(call: Callable[[], object]) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize(
    ("given", "typed"),
    [
        ({"model": "mlp"}, 'dlexp.train("model=mlp")'),
        ({"model": "mlp", "data": FRAME, "target": "y"}, 'dlexp.train("model=mlp", data=data, target="y")'),
        ({"epochs": 3, "lr": 0.1}, 'dlexp.train("trainer.epochs=3", "optim.lr=0.1")'),
        ({"optim": {"lr": 0.1}, "seed": 1}, 'dlexp.train("optim.lr=0.1", "seed=1")'),
        ({"model__hidden": [3, 4]}, 'dlexp.train("model.hidden=[3,4]")'),
        ({"optimizer": "Adam"}, 'dlexp.train("optim=adam")'),
        ({"output_dir": "x"}, 'dlexp.train(run_dir="x")'),
        ({"trial": 3, "model": "mlp"}, 'dlexp.study("model=mlp", trials=3)'),
    ],
)
def test_the_last_remedy_is_the_call_to_type(given: dict[str, Any], typed: str) -> None:
    function = dlexp.study if "trial" in given else dlexp.train
    error = refused(lambda: function(**given))
    assert [problem.where for problem in error.problems] == [name for name in given if name not in ("data", "target")]
    assert error.code == "unknown-key" and error.problems[-1].remedy == f"Type {typed}"


@pytest.mark.parametrize(
    "call",
    [
        lambda: dlexp.lr_find(model="mlp"),  # type: ignore[call-arg]
        lambda: dlexp.resume("latest", epochs=3),  # type: ignore[call-arg]
        lambda: dlexp.load("x", trusted=["a"]),  # type: ignore[call-arg]
        lambda: dlexp.load_group("x", trusted=["a"]),  # type: ignore[call-arg]
        lambda: dlexp.compare(["a"], metrics="loss"),  # type: ignore[call-arg]
    ],
)
def test_every_function_answers(call: Callable[[], object]) -> None:
    (problem,) = refused(call).problems
    assert problem.code == "unknown-key" and problem.remedy.startswith("Type dlexp.")


def test_what_nothing_is_known_of_names_the_arguments_there_are() -> None:
    problems = refused(lambda: train(foo=FRAME, epochs=3)).problems
    assert [problem.where for problem in problems] == ["foo", "epochs"]
    assert "data, target, seeds" in problems[0].remedy and '"trainer.epochs=3"' in problems[1].remedy


def test_arguments_that_are_missing_or_too_many_are_named() -> None:
    load: Callable[..., Any] = dlexp.load
    compare: Callable[..., Any] = dlexp.compare
    (many,) = refused(lambda: load("a", "b", "c")).problems
    assert (many.where, many.code, many.remedy) == ("dlexp.load()", "invalid-syntax", "It takes (run, trust=...).")
    (missing,) = refused(compare).problems
    assert (missing.where, missing.code) == ("runs", "missing-value")


def test_methods_answer_too_and_signatures_stay(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("{}")
    run: Any = dlexp.Run.__new__(dlexp.Run)
    for call, remedy in (
        (lambda: run.evaluate(splits="val"), 'Type run.evaluate(split="val")'),
        (lambda: run.repeat(epochs=3), 'Type run.repeat("trainer.epochs=3")'),
        (lambda: run.predict(FRAME, tops=3), "Type run.predict(data, top=3)"),
        (lambda: run.report(output="x.html"), "It has out."),
    ):
        assert refused(call).problems[0].remedy in (remedy, 'Type run.report(out="x.html")')
    assert list(inspect.signature(dlexp.train).parameters)[:2] == ["overrides", "data"]
    assert "Train a model" in str(dlexp.train.__doc__)
