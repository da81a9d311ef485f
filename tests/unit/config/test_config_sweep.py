"""The grid that the words of a sweep describe."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from refusals import refused

from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.schema.run import RunConfig
from dlexp.config.sweep import MAX_JOBS, SweepJob, each_once, sweep_jobs
from dlexp.errors import ConfigError, Problem

CATALOG = Catalog()


def one(words: tuple[str, ...]) -> RunConfig:
    return load(words, CATALOG)


def jobs(*words: str) -> Sequence[SweepJob]:
    return sweep_jobs(words, CATALOG, one)


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("seed=0,1,2", ["0", "1", "2"]),
        ("seed=range(3)", ["0", "1", "2"]),
        ("seed=range(1,9,3)", ["1", "4", "7"]),
        ("seed=sort(3,1,2)", ["1", "2", "3"]),
        ("optim.lr=choice(0.1,0.01)", ["0.1", "0.01"]),
        ("optim.lr=1e-3,1e-2", ["0.001", "0.01"]),
        ("model.hidden=[64],[128,64]", ["[64]", "[128,64]"]),
        ("model=glob(resnet1*)", ["resnet101", "resnet152", "resnet18"]),
        ("optim=sgd,adamw", ["sgd", "adamw"]),
        ("name='a b','c,d'", ["'a b'", "'c,d'"]),
        ("optim.weight_decay=tag(a,choice(0.1,0.2))", ["0.1", "0.2"]),
    ],
)
def test_a_word_stands_for_its_values(word: str, values: list[str]) -> None:
    key = word.partition("=")[0]
    found = jobs(word)
    assert [job.varied for job in found] == [((key, value),) for value in values]
    assert [job.overrides for job in found] == [(f"{key}={value}",) for value in values]


def test_values_reach_the_configuration() -> None:
    found = jobs("model.hidden=[64],[128,64]", "trainer.epochs=2", "name='a b','c,d'", "optim=sgd")
    assert [(list(c.config.model.arguments["hidden"]), c.config.name) for c in found] == [
        ([64], "a b"),
        ([64], "c,d"),
        ([128, 64], "a b"),
        ([128, 64], "c,d"),
    ]
    assert {c.config.trainer.epochs for c in found} == {2}
    assert found[2].overrides == ("model.hidden=[128,64]", "trainer.epochs=2", "name='a b'", "optim=sgd")
    assert found[2].name == "model.hidden=[128,64] name='a b'"


def test_a_cell_is_what_its_own_words_compose() -> None:
    for job in jobs("model=mlp,simple_cnn", "optim=sgd,adamw", "seed=range(2)"):
        assert one(job.overrides).tree == job.config.tree
        assert one(job.overrides).choices == job.config.choices


def test_nothing_that_varies_is_one_job() -> None:
    (job,) = jobs("optim=sgd")
    assert (job.overrides, job.varied, job.name) == (("optim=sgd",), (), "")


@pytest.mark.parametrize(
    ("word", "code", "where"),
    [
        ("optim.lr=interval(0,1)", "not-supported", "optim.lr"),
        ("seed=shuffle(range(3))", "not-supported", "seed"),
        ("seed=shuffle(1,2)", "not-supported", "seed"),
        ("seed=range(3,0)", "missing-value", "seed"),
        ("seed=range(0,3,0)", "invalid-value", "seed"),
        ("model=glob(x*)", "unknown-option", "model"),
        ("optim.lr=glob(*)", "not-supported", "optim.lr"),
        ("seed=1,1", "no-effect", "seed=1"),
        ("optim.lr=0.1,1e-1", "no-effect", "optim.lr=0.1"),
        (f"seed=range({MAX_JOBS + 1})", "too-large", "-m"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(word: str, code: str, where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        jobs(word)
    refused(caught.value, code, where)


def test_a_later_word_that_decides_the_same_key_is_found() -> None:
    with pytest.raises(ConfigError) as found:
        jobs("seed=0,1", "seed=2")
    assert [problem.where for problem in found.value.problems] == ["seed=1"]


def test_all_problems_of_all_cells_come_at_once_and_each_once() -> None:
    with pytest.raises(ConfigError) as found:
        jobs("optim=sgd,adamw,adm", "optim.momentum=0.5", "trainer.epoch=3", "seed=0,1")
    problems = {(problem.where, problem.origin) for problem in found.value.problems}
    assert problems == {
        ("trainer.epoch", ""),  # in every job
        ("optim", "job optim=adm seed=0 and 1 more"),
        ("optim.momentum", "job optim=adamw seed=0 and 1 more"),
    }


def test_each_once_names_the_cells_unless_all_have_it() -> None:
    a = Problem("a", "1", "rule", code="invalid-value")
    b = Problem("b", "1", "rule", origin="f.yaml:3", code="invalid-value")
    assert each_once([("x", a), ("y", a)], 2) == [a]
    assert [p.origin for p in each_once([("x", a), ("x", b), ("y", b)], 3)] == ["job x", "f.yaml:3; job x and 1 more"]


def test_values_of_a_text_are_spelled_as_typed() -> None:
    words = ("data=csv", "data.path=t.csv", "data.target=1e3,007,true", "data.target_kind=class", "task=classification")
    jobs = sweep_jobs(words, Catalog(), lambda own: load(own, Catalog()))
    assert [job.varied for job in jobs] == [(("data.target", text),) for text in ("1e3", "007", "true")]
    assert [job.config.data.arguments["target"] for job in jobs] == ["1e3", "007", "true"]
