"""What `dlexp tune` may vary: composed from the options and the line, and checked before anything runs (T11, T12)."""

from __future__ import annotations

from pathlib import Path

import pytest
from outside_package import own_catalog
from refusals import refused

from dlexp.config.files.catalog import Catalog
from dlexp.config.search import Search, load_search, rules_of
from dlexp.errors import ConfigError, Problem, exit_code_of


def found(*words: str) -> Search:
    return load_search(words, Catalog())


def names(search: Search) -> set[str]:
    return {dimension.name for dimension in search.space.dimensions}


def problems_of(*words: str, catalog: Catalog | None = None) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        load_search(words, catalog or Catalog())
    assert exit_code_of(caught.value) == 2
    return caught.value.problems


def test_the_chosen_options_bring_their_ranges_and_the_optimizer_is_chosen_too() -> None:
    search = found("data=iris")
    assert search.space.groups == {"optim": ("sgd", "adam", "adamw")}
    assert names(search) == {
        "data.batch_size", "model.hidden", "model.dropout", "optim=sgd/optim.lr", "optim=sgd/optim.weight_decay",
        "optim=sgd/optim.momentum", "optim=adam/optim.lr", "optim=adam/optim.weight_decay", "optim=adamw/optim.lr",
        "optim=adamw/optim.weight_decay",
    }  # fmt: skip
    assert [dict(chosen)["optim"] for chosen in search.bases] == ["sgd", "adam", "adamw"]


def test_a_group_that_the_line_chooses_is_not_searched() -> None:
    search = found("data=iris", "optim=sgd")
    assert search.space.groups == {}
    assert {"optim.lr", "optim.momentum", "optim.weight_decay"} <= names(search)
    assert search.base.choices["optim"] == "sgd"


def test_another_model_brings_other_ranges() -> None:
    assert "model.hidden" not in names(found("model=resnet18"))


@pytest.mark.parametrize(
    "word",
    [
        "search.space.optim.lr={log:[1e-3,1e-2]}",
        "search.space={optim:{lr:{log:[1e-3,1e-2]}}}",
        "search.space={optim.lr:{log:[1e-3,1e-2]}}",
    ],
)
def test_a_range_of_ones_own_narrows_what_the_option_offers(word: str) -> None:
    search = found("data=iris", "optim=adamw", word)
    described = search.space.described()
    assert described["optim.lr"] == "0.001 to 0.01, logarithmic"
    assert ("optim.weight_decay" in described) is True


def test_a_range_under_a_searched_group_holds_in_each_of_its_branches() -> None:
    described = found("data=iris", "search.space.optim.lr={log:[1e-3,1e-2]}").space.described()
    assert {described[f"optim={option}/optim.lr"] for option in ("sgd", "adam", "adamw")} == {
        "0.001 to 0.01, logarithmic"
    }
    assert described["optim"] == "one of sgd, adam, adamw"


def test_null_removes_a_range_or_a_group() -> None:
    assert "model.hidden" not in names(found("data=iris", "search.space.model.hidden=null"))
    assert found("data=iris", "search.space.optim=null").space.groups == {}


def test_a_key_that_no_option_offers_can_be_searched() -> None:
    smoothing = "search.space.loss.label_smoothing={float:[0,0.2]}"
    search = found("data=iris", smoothing, "trainer.monitor=val/accuracy")
    assert "loss.label_smoothing" in names(search)


@pytest.mark.parametrize(
    ("words", "where", "remedy"),
    [
        ("search.space.loss.label_smoothing={float:[0,0.2]}", "loss.label_smoothing", "trainer.monitor=val/accuracy"),
        ("search.space.regularization.label_smoothing={float:[0,0.2]}", "regularization.label_smoothing", ""),
        ("data=diabetes search.space.loss={choice:[mse,mae]}", "loss", "trainer.monitor=val/mae"),
    ],
)
def test_a_loss_that_changes_does_not_measure_itself(words: str, where: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        found("data=iris", *words.split())
    refused(caught.value, "cannot-combine", f"search.space.{where}", remedy)


def test_what_a_loss_offers_is_searched_where_another_metric_decides() -> None:
    assert "loss.gamma" not in names(found("data=iris", "loss=focal"))
    assert "loss.gamma" in names(found("data=iris", "loss=focal", "trainer.monitor=val/accuracy"))
    offered = names(found("data=iris", "task=metric_learning"))  # k-NN accuracy decides
    assert {"loss.margin", "task.embedding_size"} <= set(offered)


def test_regularization_dropout_means_the_dropout_of_the_model() -> None:
    search = found("data=iris", "search.space.regularization.dropout={float:[0.3,0.4]}")
    assert search.space.described()["model.dropout"] == "0.3 to 0.4"


def test_other_groups_can_be_searched_with_their_own_branches() -> None:
    search = found("data=iris", "optim=sgd", "search.space.scheduler={choice:[cosine,plateau]}")
    assert search.space.groups == {"scheduler": ("cosine", "plateau")}
    config = search.config_of({"scheduler": "plateau"}, {"optim.lr": 0.02})
    assert config.choices["scheduler"] == "plateau"
    assert config.tree["optim"]["lr"] == 0.02


def test_a_trial_of_adamw_has_no_momentum_and_the_base_stays_as_it_is() -> None:
    search = found("data=iris")
    config = search.config_of({"optim": "adamw"}, {"optim.lr": 0.5, "model.hidden": [8]})
    assert "momentum" not in config.tree["optim"]
    assert config.tree["model"]["hidden"] == [8]
    assert search.base.tree["optim"]["lr"] == 0.002
    assert search.bases[(("optim", "adamw"),)].tree["model"]["hidden"] == [512, 256]


def test_the_settings_are_read_and_reach_the_sampler() -> None:
    search = found("data=iris", "search=random", "search.seed=7", "search.hours=0.5", "trainer.epochs=4")
    assert (search.settings.sampler, search.settings.pruner) == ("random", "none")
    assert (search.settings.seed, search.settings.hours) == (7, 0.5)
    rules = rules_of(search)
    assert (rules.metric, rules.maximize, rules.seed, rules.epochs) == ("val/loss", False, 7, 4)


@pytest.mark.parametrize(
    ("word", "where", "code", "remedy"),
    [
        ("search=randm", "search", "unknown-option", "search=random"),
        ("search.samplr=tpe", "search.samplr", "unknown-key", "search.sampler"),
        ("search.sampler=tpee", "search.sampler", "unknown-value", ""),
        ("search.patience=0", "search.patience", "out-of-range", ""),
        ("search.percentile=100", "search.percentile", "out-of-range", ""),
        (
            "search.space.optim.lrr={log:[1e-3,1e-2]}",
            "search.space.optim.lrr",
            "unknown-key",
            "search.space.optim.lr",
        ),
        ("search.space.optim={choice:[sgd,adamm]}", "search.space.optim", "unknown-option", "adam"),
        ("search.space.optim={choice:[]}", "search.space.optim", "invalid-type", ""),
        ("search.space.optim={choice:sgd}", "search.space.optim", "invalid-type", ""),
        ("search.space.optim.lr={float:[-1,1]}", "search.space.optim.lr", "out-of-range", ""),
        ("search.space.model.dropout={float:[0,1.5]}", "search.space.model.dropout", "out-of-range", ""),
        ("search.space.data.batch_size={choice:[16,a]}", "search.space.data.batch_size", "invalid-type", ""),
        ("search.space.optim.lr={log:[1,0.1]}", "search.space.optim.lr", "invalid-value", ""),
        ("search.space.optim.lr=0.1", "search.space.optim.lr", "invalid-value", ""),
    ],
)
def test_a_mistake_in_a_search_is_named_before_anything_runs(word: str, where: str, code: str, remedy: str) -> None:
    problems = problems_of("data=iris", word)
    assert [(problem.where, problem.code) for problem in problems] == [(where, code)]
    assert remedy in problems[0].remedy


def test_the_searches_that_there_are_are_named() -> None:
    assert "default, random" in problems_of("data=iris", "search=randm")[0].remedy


def test_a_metric_that_the_task_does_not_log_is_refused_with_those_that_it_does() -> None:
    problems = problems_of("data=iris", "task.monitor=val/acuracy")
    assert "val/accuracy" in str(problems[0])


def test_a_search_in_which_nothing_varies_is_refused() -> None:
    words = [f"search.space.{key}=null" for key in ("model.hidden", "model.dropout", "data.batch_size")]
    keys = ("lr", "weight_decay", "momentum")
    problems = problems_of("data=iris", "optim=sgd", *words, *(f"search.space.optim.{key}=null" for key in keys))
    assert (problems[0].where, problems[0].code) == ("search.space", "missing-value")


def test_a_search_of_ones_own_is_an_option_too(tmp_path: Path) -> None:
    text = "# Mine\nsampler: random\nspace:\n  optim:\n    lr: {log: [1e-3, 1e-2]}\n"
    search = load_search(["data=iris", "search=mine"], own_catalog(tmp_path, {"search/mine.yaml": text}))
    assert search.settings.sampler == "random"
    assert search.space.groups == {}
    assert search.space.described()["optim.lr"] == "0.001 to 0.01, logarithmic"


@pytest.mark.parametrize(
    ("word", "low", "high"),
    [
        ("model.hidden={repeat:[2,100],choice:[32,64,128,256,512,1024,2048]}", 2, 100),  # HPO-01, HPO-02
        ("model.dropout={float:[0.1,0.3]}", 0.1, 0.3),  # HPO-03
        ("optim.lr={log:[1e-5,1e-1]}", 1e-5, 1e-1),  # HPO-04
        ("optim.weight_decay={log:[1e-5,1e-2]}", 1e-5, 1e-2),  # HPO-07
        ("regularization.l1={log:[1e-5,1e-2]}", 1e-5, 1e-2),  # HPO-08
        ("regularization.l2={log:[1e-5,1e-2]}", 1e-5, 1e-2),
    ],
)
def test_every_range_that_the_guides_name_can_be_searched(word: str, low: float, high: float) -> None:
    path, _, _ = word.partition("=")
    search = found("data=iris", "optim=sgd", f"search.space.{word}")
    (dimension,) = (d for d in search.space.dimensions if d.path == path)
    assert (dimension.low, dimension.high) == (low, high)


def test_the_wide_search_has_large_batches_and_both_penalties() -> None:  # HPO-05, HPO-06, HPO-08
    space = found("data=iris", "search=wide").space
    described = space.described()
    assert described["data.batch_size"] == "one of 16, 32, 64, 128, 256, 512"
    assert described["regularization.l1"] == described["regularization.l2"] == "1e-05 to 0.01, logarithmic"
    assert space.groups == {"optim": ("sgd", "adam", "adamw")}


def test_a_value_of_a_key_that_is_not_there_is_refused() -> None:
    search = found("data=iris", "optim=sgd")
    with pytest.raises(ConfigError) as caught:
        search.config_of({}, {"model.channels": 3})
    refused(caught.value, "unknown-key", "model.channels")


@pytest.mark.parametrize("word", ["optim.lr=auto", "data.batch_size=auto"])
def test_what_is_found_before_a_run_is_no_base_of_trials(word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_search([word], Catalog())
    refused(caught.value, "not-supported", word.partition("=")[0])
