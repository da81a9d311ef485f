"""The sweep of an experiment: its axes and cases, what a line replaces, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from outside_package import GLOBAL, own_catalog
from refusals import refused

from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.files.words import CaseWord
from dlexp.config.given.experiment_sweep import axes_of, refuse_among_others, with_sweep_of_experiment
from dlexp.config.schema.run import RunConfig
from dlexp.config.sweep import SweepJob, sweep_jobs
from dlexp.errors import ConfigError

GRID = f"{GLOBAL}model: {{dropout: 0.1}}\nsweep:\n  optim: [sgd, adamw]\n  seed: range(2)\n"
CASES = (
    f"{GLOBAL}sweep:\n  cases:\n    plain: {{}}\n    more dropout: {{model.dropout: 0.5, optim: sgd}}\n  seed: [0, 1]\n"
)


def catalog(folder: Path, **files: str) -> Catalog:
    found: Catalog = own_catalog(folder, {f"experiment/{name}.yaml": text for name, text in files.items()})
    return found


def jobs_of(words: tuple[str, ...], known: Catalog) -> tuple[SweepJob, ...]:
    return sweep_jobs(with_sweep_of_experiment(words, known).words, known, lambda own: load(own, known))


def test_the_name_of_an_experiment_is_its_grid(tmp_path: Path) -> None:
    known = catalog(tmp_path, grid=GRID)
    line = with_sweep_of_experiment(("experiment=grid", "model.hidden=[8]"), known)
    assert line.axes == ("optim", "seed")
    assert line.words == ("optim=sgd,adamw", "seed=range(2)", "experiment=grid", "model.hidden=[8]")
    jobs = jobs_of(("experiment=grid",), known)
    assert [job.name for job in jobs] == [f"optim={o} seed={s}" for o in ("sgd", "adamw") for s in (0, 1)]
    assert {job.config.tree["model"]["dropout"] for job in jobs} == {0.1}
    assert all("sweep" not in job.config.tree for job in jobs)


def test_a_word_of_the_line_replaces_an_axis_and_all_of_them_make_one_run(tmp_path: Path) -> None:
    known = catalog(tmp_path, grid=GRID)
    assert with_sweep_of_experiment(("experiment=grid", "seed=7"), known).axes == ("optim",)
    assert with_sweep_of_experiment(("experiment=grid",), known, ("seed",)).axes == ("optim",)
    alone = with_sweep_of_experiment(("experiment=grid", "seed=7", "optim=lion"), known)
    assert alone.axes == ()
    assert alone.words == ("experiment=grid", "seed=7", "optim=lion")


def test_an_experiment_that_extends_another_keeps_its_axes(tmp_path: Path) -> None:
    more = f"{GLOBAL}defaults: [grid, _self_]\nsweep:\n  seed: [5]\n  model.dropout: [0.2, 0.3]\n"
    words = axes_of("more", catalog(tmp_path, grid=GRID, more=more))
    assert words == ("optim=sgd,adamw", "seed=5", "model.dropout=0.2,0.3")


def test_cases_are_named_sets_of_words_and_a_line_picks_some(tmp_path: Path) -> None:
    known = catalog(tmp_path, cases=CASES)
    jobs = jobs_of(("experiment=cases",), known)
    assert [dict(job.varied)["cases"] for job in jobs] == ["plain", "plain", "more dropout", "more dropout"]
    assert [job.config.tree["model"]["dropout"] for job in jobs] == [0.2, 0.2, 0.5, 0.5]
    assert [job.config.choices["optim"] for job in jobs] == ["adamw", "adamw", "sgd", "sgd"]
    last = jobs[-1]
    assert last.overrides == ("model.dropout=0.5", "optim=sgd", "seed=1", "experiment=cases")
    assert last.line == ("cases=more dropout", "seed=1", "experiment=cases")
    alone = with_sweep_of_experiment(last.line, known)
    assert alone.axes == ()
    assert load(alone.words, known) == last.config
    picked = with_sweep_of_experiment(("experiment=cases", "cases=plain"), known)
    (case,) = (word for word in picked.words if isinstance(word, CaseWord))
    assert (picked.axes, tuple(case.cases)) == (("seed",), ("plain",))


def test_a_word_of_the_line_counts_more_than_that_of_a_case(tmp_path: Path) -> None:
    known = catalog(tmp_path, cases=CASES)
    words = ("experiment=cases", "cases=more dropout", "seed=1", "model.dropout=0.4")
    assert load(with_sweep_of_experiment(words, known).words, known).tree["model"]["dropout"] == 0.4


def test_an_unknown_case_is_refused_with_the_nearest(tmp_path: Path) -> None:
    known = catalog(tmp_path, cases=CASES)
    with pytest.raises(ConfigError) as error:
        with_sweep_of_experiment(("experiment=cases", "cases=plane"), known)
    refused(error.value, "unknown-value", "cases", "Did you mean plain?")
    with pytest.raises(ConfigError) as error:
        with_sweep_of_experiment(("experiment=diabetes_mlp", "cases=plain"), known)
    refused(error.value, "no-effect", "cases", "Remove cases=plain")


def test_values_of_the_line_for_every_axis_are_a_grid_too(tmp_path: Path) -> None:
    known = catalog(tmp_path, grid=GRID, cases=CASES)
    line = with_sweep_of_experiment(("experiment=grid", "optim=sgd,adam", "seed=3"), known)
    assert line.axes == ("optim",)
    assert [job.name for job in jobs_of(line.words, known)] == ["optim=sgd", "optim=adam"]
    assert with_sweep_of_experiment(("experiment=grid", "optim=sgd,adam"), known, ("seed",)).axes == ("optim",)
    assert with_sweep_of_experiment(("experiment=cases", "cases=plain", "seed=1,2"), known).axes == ("seed",)
    assert with_sweep_of_experiment(("experiment=grid", "optim=sgd", "seed=3"), known).axes == ()
    assert with_sweep_of_experiment(("experiment=grid", "optim=sgd", "seed=[3"), known).axes == ()  # reported later


@pytest.mark.parametrize(
    ("text", "where", "code"),
    [
        ("sweep: 3\n", "sweep", "invalid-type"),
        ("sweep:\n  seed: []\n", "sweep.seed", "missing-value"),
        ("sweep:\n  cases: [a, b]\n", "sweep.cases", "invalid-type"),
        ("sweep:\n  cases: {'a,b': {}}\n", "sweep.cases", "invalid-value"),
        ("sweep:\n  cases: {a: 3}\n", "sweep.cases", "invalid-value"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(tmp_path: Path, text: str, where: str, code: str) -> None:
    known = catalog(tmp_path, bad=f"{GLOBAL}{text}")
    with pytest.raises(ConfigError) as error:
        with_sweep_of_experiment(("experiment=bad",), known)
    assert [(problem.where, problem.code) for problem in error.value.problems] == [(where, code)]
    assert "experiment/bad.yaml:" in error.value.problems[0].origin


def test_a_sweep_is_no_value_of_another_one(tmp_path: Path) -> None:
    known = catalog(tmp_path, grid=GRID, plain=f"{GLOBAL}seed: 3\n")
    refuse_among_others(("experiment=grid",), known)
    for word in ("experiment=grid,plain", "experiment=glob(gr*)"):
        with pytest.raises(ConfigError) as error:
            refuse_among_others((word,), known)
        refused(error.value, "cannot-combine", "experiment", "experiment=grid")


BUILT_IN = [name for name in Catalog().options("experiment") if axes_of(name, Catalog())]


def test_the_sweeps_that_come_with_dlexp_were_seen() -> None:
    assert len(BUILT_IN) == 18


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_sweep_composes_at_both_ends_and_has_several_seeds(name: str) -> None:
    known, by_key = Catalog(), {word.partition("=")[0]: word for word in axes_of(name, Catalog())}
    assert by_key.pop("seed").startswith("seed=range(")
    ((key, axis),) = by_key.items()
    line = with_sweep_of_experiment((f"experiment={name}", "seed=0"), known).words
    made: list[tuple[str, ...]] = []
    with pytest.raises(ConfigError):  # nothing is composed: only the words of all jobs
        sweep_jobs(line, known, lambda own: _kept(own, made))
    assert len(made) >= 3
    if key in known.groups:
        assert set(axis.partition("=")[2].split(",")) <= set(known.options(key))
    for own in (made[0], made[-1]):
        assert load(own, known).trainer.test


def _kept(own: tuple[str, ...], made: list[tuple[str, ...]]) -> RunConfig:
    made.append(own)
    raise ConfigError.one("seed", "", "not composed", code="not-supported")
