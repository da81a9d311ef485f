"""data.batch_size=auto: what an update keeps, and what contradicts it."""

from __future__ import annotations

from pathlib import Path

import pytest
from outside_package import GLOBAL, own_catalog
from refusals import load_refused, refused

from dlexp.config.compose import load
from dlexp.config.derive import repeat
from dlexp.config.files.catalog import Catalog
from dlexp.config.saved import load_plain, overrides_to_yaml, plain_config, to_yaml
from dlexp.config.schema.run import RunConfig
from dlexp.config.search import load_search
from dlexp.config.typed import with_values
from dlexp.errors import ConfigError

BUILTIN = Catalog(())


def shape(config: RunConfig) -> tuple[object, int, int | None]:
    """(data.batch_size, trainer.accumulate, trainer.effective_batch)."""
    return config.tree["data"]["batch_size"], config.trainer.accumulate, config.trainer.effective_batch


@pytest.mark.parametrize(
    ("words", "effective"),
    [
        ([], 64),
        (["data=iris"], 16),
        (["trainer.accumulate=4"], 256),
        (["data=iris", "trainer.accumulate=3"], 48),
        (["trainer.effective_batch=96"], 96),
    ],
)
def test_an_update_keeps_its_samples(words: list[str], effective: int) -> None:
    config = load(["data.batch_size=auto", *words], BUILTIN)
    assert shape(config) == ("auto", 1, effective)
    assert config.batch_size == 0
    assert shape(load_plain(plain_config(config), {})) == shape(config)  # checked a second time


def test_an_experiment_says_what_an_update_holds(tmp_path: Path) -> None:
    mine = own_catalog(
        tmp_path, {"experiment/big.yaml": f"{GLOBAL}data:\n  batch_size: 48\ntrainer:\n  accumulate: 2\n"}
    )
    assert shape(load(["experiment=big", "data.batch_size=auto"], mine)) == ("auto", 1, 96)


def test_a_file_that_says_auto_must_say_the_rest(tmp_path: Path) -> None:
    mine = own_catalog(tmp_path, {"experiment/free.yaml": f"{GLOBAL}data:\n  batch_size: auto\n"})
    load_refused(["experiment=free"], mine, "missing-requirement", "data.batch_size", "trainer.effective_batch=N")
    assert shape(load(["experiment=free", "trainer.effective_batch=32"], mine)) == ("auto", 1, 32)


@pytest.mark.parametrize(
    ("words", "code", "where", "remedy"),
    [
        (["trainer.effective_batch=64"], "missing-requirement", "trainer.effective_batch", "trainer.accumulate"),
        (
            ["data.batch_size=auto", "trainer.effective_batch=64", "trainer.accumulate=2"],
            "cannot-combine",
            "trainer.accumulate",
            "",
        ),
        (["data.batch_size=auto", "trainer.effective_batch=0"], "out-of-range", "trainer.effective_batch", ""),
        (["data.batch_size=most"], "invalid-type", "data.batch_size", ""),
        (["data.eval_batch_size=auto"], "invalid-type", "data.eval_batch_size", ""),
    ],
)
def test_contradictions_are_refused(words: list[str], code: str, where: str, remedy: str) -> None:
    load_refused(words, BUILTIN, code, where, remedy)


def test_a_study_is_given_a_number() -> None:
    with pytest.raises(ConfigError) as caught:
        load_search(["data.batch_size=auto"], BUILTIN)
    refused(caught.value, "not-supported", "data.batch_size")


def test_a_repetition_keeps_what_the_past_run_had(tmp_path: Path) -> None:
    past = with_values(load([], BUILTIN), {"data.batch_size": 24, "trainer.accumulate": 3})
    (tmp_path / "config.yaml").write_text(to_yaml(past))
    (tmp_path / "overrides.yaml").write_text(overrides_to_yaml(["data.batch_size=auto"]))  # as it was typed
    assert shape(repeat(tmp_path, [], BUILTIN)[0]) == (24, 3, None)
    assert shape(repeat(tmp_path, ["data.batch_size=auto"], BUILTIN)[0]) == ("auto", 1, 72)
    words = ["data.batch_size=auto", "trainer.effective_batch=10"]
    assert shape(repeat(tmp_path, words, BUILTIN)[0]) == ("auto", 1, 10)
