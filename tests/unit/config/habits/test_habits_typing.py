"""Words as they were typed or pasted, and words that must not be taken for others by their spelling."""

from __future__ import annotations

import pytest

from dlexp.config.check.suggest import all_paths, nearest_path
from dlexp.config.files.catalog import Catalog
from dlexp.config.habits.typing import closed, read_words, unbalanced
from dlexp.config.overrides import parse

CATALOG = Catalog()


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["model", "=", "mlp"], ["model=mlp"]),
        (["model=", "mlp"], ["model=mlp"]),
        (["model", "=mlp"], ["model=mlp"]),
        (["model:", "mlp"], ["model=mlp"]),
        (["model:mlp"], ["model=mlp"]),
        (["model", "resnet18"], ["model=resnet18"]),
        (["trainer.epochs", "5"], ["trainer.epochs=5"]),
        (["model.hidden=[256,", "128]"], ["model.hidden=[256, 128]"]),
        (["name=\u201ca", "b\u201d"], ['name="a b"']),
        (["model=mlp\u00a0seed=1"], ["model=mlp", "seed=1"]),
        (["\u200bmodel=mlp\u00a0"], ["model=mlp"]),
        (["optim.lr=1e\u22123"], ["optim.lr=1e-3"]),
    ],
)
def test_words_are_corrected_as_one(words: list[str], meant: list[str]) -> None:
    _, problems = parse(words, CATALOG)
    assert [problem.instead for problem in problems] == [(word,) for word in meant]
    assert {problem.typed for problem in problems} == {tuple(words)}
    assert parse(meant, CATALOG)[1] == []


@pytest.mark.parametrize(
    ("word", "place", "meant"),
    [
        ("model.hidden=[1,2", "[ at character 14", "model.hidden=[1,2]"),
        ("model.hidden=[[1],[2]", "[ at character 14", "model.hidden=[[1],[2]]"),
        ("a={b:1", "{ at character 3", "a={b:1}"),
        ("a=range(1,2", "( at character 8", "a=range(1,2)"),
        ("a='b c", "' at character 3", "a='b c'"),
        ('a=["b]', '" at character 4', None),
        ("a=1]", "] at character 4", None),
        ("a=[1)", ") at character 5", None),
    ],
)
def test_what_is_not_closed_is_named_with_its_place(word: str, place: str, meant: str | None) -> None:
    assert place in unbalanced(word)
    assert meant is None or closed(word) == meant


@pytest.mark.parametrize("word", ["a=b", "a=[1,{b:2}]", "a='it'", "data.target=it's", r"a=\[", 'a="["'])
def test_what_is_closed_is_left_alone(word: str) -> None:
    assert unbalanced(word) == ""
    assert [item.word for item in read_words([word], lambda _: False)] == [word]


def test_the_home_directory_is_put_in_place_of_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    (item,) = read_words(["data.path=~/x.csv"], lambda _: False)
    assert (item.word, item.rule) == ("data.path=/home/me/x.csv", "")


@pytest.mark.parametrize(
    "name",
    sorted(
        [
            "rank",
            "backend",
            "plugins",
            "sampler",
            "tokenizer",
            "nodes",
            "pipeline",
            "hub_model_id",
            "optuna",
            "cluster",
            "plot",
            "gpu_memory",
            "trainer.mode",
            "callbacks.mode",
            "foo.name",
            "data_collator",
            "vocab_size",
            "ratio",
            "queue",
            "account",
        ]
    ),
)
def test_spelling_alone_is_no_meaning(name: str) -> None:
    assert nearest_path(name, all_paths(CATALOG)) is None


def test_texts_in_quotation_marks_mean_what_they_say() -> None:
    for word in ('data.target="a\u00adb"', "data.target='a\u00a0x=1'", 'data.missing_values=["\u201c","\u2013 1"]'):
        (read,) = read_words([word], lambda _: True)
        assert (read.word, read.rule) == (word, "")
    (read,) = read_words(["data.target=a\u00adb"], lambda _: True)
    assert (read.word, bool(read.rule)) == ("data.target=ab", True)
