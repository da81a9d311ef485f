"""What `dlexp compress` accepts: all problems of a line at once, and the steps in their order."""

from __future__ import annotations

from typing import Any

import pytest
from refusals import line_refused, load_refused, refused

from dlexp.cli.commands.results.compress import in_order
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError
from dlexp.workflows.compress.pareto import front
from dlexp.workflows.compress.request import (
    CompressRequest,
    LowRank,
    Prune,
    Quantize,
    check_request,
    steps_of,
    strengths_of,
)

USUAL: dict[str, Any] = {"scope": "layer", "is_structured": False, "norm": "l2", "is_gradual": False}


@pytest.mark.parametrize(
    ("request_", "code", "where", "remedy"),
    [
        (CompressRequest(()), "missing-value", "dlexp compress", "--prune 0.5"),
        (CompressRequest((Prune((50.0,)),)), "out-of-range", "--prune", "--prune 0.5"),
        (CompressRequest((Prune((0.5, 0.5)),)), "invalid-value", "--prune", "once"),
        (CompressRequest((Prune((0.5,), "globl"),)), "unknown-value", "--scope", "--scope global"),
        (CompressRequest((Prune((0.5,), is_gradual=True),)), "missing-requirement", "--gradual", "--epochs"),
        (CompressRequest((Prune((0.5,), "layer", True, "l2", True),), 3), "cannot-combine", "--gradual", ""),
        (CompressRequest((LowRank(1.0),)), "out-of-range", "--low-rank", ""),
        (CompressRequest((LowRank(0.5, "enrgy"),)), "unknown-value", "--rank-by", "--rank-by energy"),
        (CompressRequest((Quantize("int9"),)), "unknown-value", "--quantize", "--quantize int8"),
        (CompressRequest((Quantize("int8"), Prune((0.5,)))), "cannot-combine", "--quantize", "end"),
        (CompressRequest((Prune((0.5,)),), split="train"), "unknown-value", "--split", ""),
        (CompressRequest((Prune((0.5,)),), overrides=("trainer.epochs=5",)), "not-supported", "epochs", "--epochs 5"),
        (CompressRequest((Prune((0.5,)),), overrides=("model.hidden=[3]",)), "not-supported", "model.hidden", "optim"),
        (CompressRequest((Prune(tuple(n / 20 for n in range(1, 15))),)), "too-large", "--prune", ""),
    ],
)
def test_what_is_wrong_is_said_with_its_remedy(request_: CompressRequest, code: str, where: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_request(request_)
    refused(caught.value, code, where, remedy)


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        check_request(CompressRequest((Prune((5.0,), "x"), LowRank(2.0)), overrides=("data=iris",)))
    assert len(caught.value.problems) == 4


def test_options_of_a_step_that_is_not_asked_for_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        steps_of(None, {**USUAL, "is_structured": True, "scope": "global"}, None, "energy", "int8")
    assert [problem.where for problem in caught.value.problems] == ["--scope", "--structured", "--rank-by"]
    assert strengths_of("0.3,0.5") == (0.3, 0.5)
    assert strengths_of([0.3]) == (0.3,)
    with pytest.raises(ConfigError) as caught:
        strengths_of("half,0.5,x")
    assert len(caught.value.problems) == 2


def test_steps_are_in_the_order_of_the_line() -> None:
    steps = steps_of("0.5", USUAL, 0.3, "size", None)
    assert in_order(steps, ["compress", "r", "--low-rank", "0.3", "--prune=0.5"]) == [LowRank(0.3), Prune((0.5,))]
    assert in_order(steps, ["compress", "r", "--prune", "0.5", "--low-rank", "0.3"]) == steps
    assert CompressRequest(tuple(steps)).words == "--prune 0.5 --low-rank 0.3"


def test_the_line_itself(capsys: pytest.CaptureFixture[str]) -> None:
    line_refused(capsys, "compress", "r", "--structured", code="missing-requirement", where="--structured")
    line_refused(capsys, "compress", "r", "--prune", "0.5", "--scop", "layer", code="unknown-option", where="--scop")
    line_refused(capsys, "compress", "nothing", "--prune", "0.5", code="not-found", where="nothing")


def test_keys_of_the_configuration_are_checked() -> None:
    catalog = Catalog(())
    load_refused(["compression.gradual_epochs=2"], catalog, "missing-requirement", "compression.gradual_epochs")
    words = ["compression.sparsity=0.5", "compression.gradual_epochs=9", "trainer.epochs=5"]
    load_refused(words, catalog, "out-of-range", "compression.gradual_epochs", "5 or less")
    load_refused(["compression.layer_widths=[model]"], catalog, "invalid-syntax", "compression.layer_widths")


def test_the_front_has_what_nothing_beats_in_both() -> None:
    def made(accuracy: float, cost: int) -> dict[str, Any]:
        after = {"multiply_adds": cost, "nonzero_parameters": cost}
        return {"metric": {"after": accuracy, "maximize": True}, "after": after}

    good, cheap, worse = made(0.9, 10), made(0.8, 5), made(0.7, 7)
    assert front([good, worse, cheap]) == [good, cheap]
