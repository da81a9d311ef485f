"""What the words of a file are: those of the command line, in the order of files and line, with file and line."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from outside_package import own_catalog
from refusals import refused

from dlexp.config.compose import load
from dlexp.config.explain import sources
from dlexp.config.files.catalog import Catalog
from dlexp.config.files.words import FileWord, place_of
from dlexp.config.given.overrides import with_files
from dlexp.config.saved import overrides_to_yaml, read_overrides
from dlexp.config.search import load_search
from dlexp.config.sweep import sweep_jobs
from dlexp.errors import ConfigError


def words_of(folder: Path, *texts: str, line: tuple[str, ...] = ()) -> tuple[str, ...]:
    paths = []
    for number, text in enumerate(texts):
        paths.append(folder / f"{number}.yaml")
        paths[-1].write_text(text)
    return with_files(paths, line, Catalog())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model: mlp\noptim: {lr: 0.1}\n", ("model=mlp", "optim.lr=0.1")),
        ("optim.lr: 1e-3\ntrainer:\n  epochs: 3\n", ("optim.lr=1e-3", "trainer.epochs=3")),
        ("- model=mlp\n- 'optim.lr=0.1'\n", ("model=mlp", "optim.lr=0.1")),
        ('{"model": "mlp", "model.hidden": [64, 32]}', ("model=mlp", "model.hidden=[64,32]")),
        ("trainer: {test: yes}\nseed: 0x10\n", ("trainer.test=true", "seed=16")),
        (
            "data: csv\ndata.target: 007\ndata.missing_values: [2024, 1e3]\n",
            ("data=csv", 'data.target="007"', 'data.missing_values=["2024","1e3"]'),
        ),
        ("data.path: ${oc.env:HOME}/x, y.csv\n", ('data.path="${oc.env:HOME}/x, y.csv"',)),
        ("name: 'it''s \"so\"'\n", ('name="it\'s \\"so\\""',)),
        ("optim.phases: {train: {lr: 0.1}}\n", ("optim.phases={train:{lr:0.1}}",)),
        ("+model.extra: 3\n", ("+model.extra=3",)),
        (
            "optim: &a {lr: 0.1}\nscheduler: {<<: *a, warmup_steps: 3}\n",
            ("optim.lr=0.1", "scheduler.warmup_steps=3", "scheduler.lr=0.1"),
        ),
        (
            "# @package _global_\ndefaults:\n- override /model: mlp\n- /optim: sgd\n- digits_resnet18\n- _self_\n"
            "seed: 3\n",
            ("model=mlp", "optim=sgd", "experiment=digits_resnet18", "seed=3"),
        ),
        (
            "sweep: {model: [mlp, simple_cnn], optim: {lr: [0.1, 1e-2]}, seed: range(2), model.hidden: [[8], [8, 8]]}",
            ("model=mlp,simple_cnn", "optim.lr=0.1,1e-2", "seed=range(2)", "model.hidden=[8],[8,8]"),
        ),
        ("sweep: {data.target: [1e3, b], name: ['a,b', c]}\n", ('data.target="1e3",b', 'name="a,b",c')),
        ("search: wide\n", ("search=wide",)),
        (
            "search: {sampler: random, space: {optim: {choice: [sgd], lr: {log: [1e-4, 0.1]}}, model.dropout: null}}\n",
            (
                "search.sampler=random",
                "search.space.optim={choice:[sgd]}",
                "search.space.optim.lr={log:[0.0001,0.1]}",
                "search.space.model.dropout=null",
            ),
        ),
    ],
)  # fmt: skip
def test_words_of_a_file(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    assert words_of(tmp_path, text) == words


@pytest.mark.parametrize(
    ("text", "code", "where", "remedy"),
    [
        ("optim: {lr: 1}\noptim.lr: 2\n", "invalid-syntax", "optim.lr", "Remove one"),
        ("model: [mlp, simple_cnn]\n", "invalid-type", "model", "sweep: {model: [...]}"),
        ("data: csv\ndata: {path: a}\n", "invalid-syntax", "data", "data.KEY: VALUE"),
        ("data: {type: csv, path: a}\n", "invalid-syntax", "data.type", "data: csv"),
        ("model: {mlp: {hidden: [3]}}\n", "invalid-syntax", "model.mlp.hidden", "model: mlp"),
        ("- model: mlp\n", "invalid-syntax", "--config", "- KEY=VALUE"),
        ("sweep: {model: []}\n", "missing-value", "sweep.model", "[A, B]"),
        ("sweep: [model]\n", "invalid-type", "sweep", "optim.lr: [0.1"),
        ("? [a]\n: 3\n", "invalid-syntax", "the file", "KEY: VALUE"),
        ("defaults: [override /model: resnet81]\n", "unknown-option", "model", "resnet18"),
        ("defaults: [../../secret]\n", "not-found", "defaults", "override"),
        ("defaults: model\n", "invalid-type", "defaults", "override"),
        ("hydra: {run: {dir: x}}\nseed: 1\nseed: 2\n", "not-supported", "hydra.run.dir", ""),
        ("search: {optim.lr: {log: [1e-4, 1]}}\n", "unknown-key", "search.optim.lr", "space: {optim.lr"),
        ("search: {space: {a.b: {low: 1e-4, high: 0.1, log: true}}}", "invalid-syntax", "a.b", "{log: [1e-4, 0.1]}"),
        ("search: {space: {optim.lr: {min: 1, max: 3}}}", "invalid-syntax", "optim.lr", "{int: [1, 3]}"),
        ("search: {space: {optim.lr: {values: [1, 3]}}}", "invalid-syntax", "optim.lr", "{choice: [1,3]}"),
    ],
)  # fmt: skip
def test_mistakes_have_a_place_and_a_remedy(tmp_path: Path, text: str, code: str, where: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        words_of(tmp_path, text)
    refused(caught.value, code, where, remedy)
    assert all("0.yaml:" in problem.origin for problem in caught.value.problems)


def test_later_files_and_the_line_replace_keys(tmp_path: Path) -> None:
    words = words_of(tmp_path, "model: mlp\nseed: 1\nname: a\n", "seed: 2\n", line=("name=b", "optim=sgd"))
    assert words == ("model=mlp", "seed=2", "name=b", "optim=sgd")
    assert [place_of(word).rpartition("/")[2] for word in words] == ["0.yaml:1", "1.yaml:1", "", ""]


def test_problems_of_values_name_file_and_line(tmp_path: Path) -> None:
    words = words_of(tmp_path, "trainer:\n  epochs: ten\n\noptim.lr: -1\nscheduler.warm: 1\n", line=("seed=-1",))
    with pytest.raises(ConfigError) as caught:
        load(words, Catalog())
    found = {problem.where: problem.origin.rpartition("/")[2] for problem in caught.value.problems}
    assert found == {"trainer.epochs": "0.yaml:2", "optim.lr": "0.yaml:4", "scheduler.warm": "0.yaml:5", "seed": ""}


def test_origin_of_a_value_is_its_file_and_line(tmp_path: Path) -> None:
    words = words_of(tmp_path, "seed: 3\noptim: {lr: 0.1}\n", line=("trainer.epochs=2",))
    rows = {row["key"]: row["origin"] for row in sources(load(words, Catalog()), words, Catalog())}
    assert rows["seed"].endswith("0.yaml:1")
    assert rows["optim.lr"].endswith("0.yaml:2")
    assert rows["trainer.epochs"] == "command line"


def test_recorded_words_read_back_equal_and_name_their_file(tmp_path: Path) -> None:
    words = words_of(tmp_path, "seed: 3\nname: 'a # b, c'\n", line=("optim=sgd",))
    path = tmp_path / "overrides.yaml"
    path.write_text(overrides_to_yaml(list(words)))
    assert tuple(read_overrides(path)) == words
    assert f"# --config {tmp_path}/0.yaml\n" in path.read_text()
    assert with_files([path], [], Catalog()) == words


def test_word_of_a_file_keeps_its_place_in_another_process() -> None:
    assert place_of(pickle.loads(pickle.dumps(FileWord("a=1", "b.yaml:2")))) == "b.yaml:2"


def test_sweep_of_a_file_has_its_jobs_and_places(tmp_path: Path) -> None:
    words = words_of(tmp_path, "sweep:\n  optim: [sgd, adamw]\n  seed: [1, 2]\n", line=("seed=5",))
    jobs = sweep_jobs(words, Catalog(), lambda own: load(own, Catalog()))
    assert [job.overrides for job in jobs] == [("optim=sgd", "seed=5"), ("optim=adamw", "seed=5")]
    with pytest.raises(ConfigError) as caught:
        load(words, Catalog())
    refused(caught.value, "missing-requirement", "optim", f"dlexp train -m --config {tmp_path}/0.yaml")
    words = words_of(tmp_path, "sweep:\n  optim: [sgd, adamv]\n")
    with pytest.raises(ConfigError) as caught:
        sweep_jobs(words, Catalog(), lambda own: load(own, Catalog()))
    assert "0.yaml:2" in caught.value.problems[0].origin


def test_study_of_a_file_searches_what_it_says(tmp_path: Path) -> None:
    text = "search:\n  space:\n    optim.lr: {log: [1e-4, 1e-1]}\n    optim: {choice: [sgd]}\n  hours: 2\n"
    search = load_search(words_of(tmp_path, text), Catalog())
    assert search.settings.hours == 2
    assert search.space.groups == {"optim": ("sgd",)}
    rate = next(dimension for dimension in search.space.dimensions if dimension.path == "optim.lr")
    assert (rate.low, rate.high) == (1e-4, 1e-1)
    with pytest.raises(ConfigError) as caught:
        load(words_of(tmp_path, text), Catalog())
    refused(caught.value, "no-effect", "search", f"dlexp tune --config {tmp_path}/0.yaml")
    with pytest.raises(ConfigError) as caught:
        load_search(words_of(tmp_path, "search:\n  samplr: tpe\n"), Catalog())
    refused(caught.value, "unknown-key", "search.samplr", "search.sampler")
    assert caught.value.problems[0].origin.endswith("0.yaml:2")


def test_own_options_come_with_their_directory(tmp_path: Path) -> None:
    catalog = own_catalog(tmp_path, {"model/mine.yaml": "_target_: torch.nn.Flatten\nlayers: {a: 1}\nwidth: 3\n"})
    path = tmp_path / "a.yaml"
    path.write_text("model: mine\nmodel.width: 4\n")
    assert with_files([path], [], catalog) == ("model=mine", "model.width=4")
    with pytest.raises(ConfigError) as caught:
        load(with_files([path], [], Catalog()), Catalog())
    refused(caught.value, "unknown-option", "model", "--config-dir")
