"""Configurations of trials are those that composing gives, and only plain numbers are put in place without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlexp.config.compose import load
from dlexp.config.derive import repeat
from dlexp.config.files.catalog import Catalog
from dlexp.config.saved import load_saved, overrides_to_yaml, to_yaml
from dlexp.config.schema.run import RunConfig
from dlexp.workflows.doctor.trial_configs import configured_by

RUN = ("model=resnet18", "optim=sgd", "trainer.epochs=3", "regularization.label_smoothing=0.1", "seed=3")


def never(words: tuple[str, ...]) -> RunConfig:
    raise AssertionError(f"{words} was composed")


@pytest.mark.parametrize(
    "words",
    [("optim.lr=0.3",), ("optim.lr=1e-05", "trainer.epochs=12"), ("optim.lr=0.001", "init_from=/runs/a b/last.pt")],
)
def test_what_is_put_in_place_equals_what_is_composed(words: tuple[str, ...], tmp_path: Path) -> None:
    catalog = Catalog()
    base = load(RUN, catalog)
    (tmp_path / "config.yaml").write_text(to_yaml(base))
    (tmp_path / "overrides.yaml").write_text(overrides_to_yaml(list(RUN)))
    quoted = tuple(f"init_from='{word.partition('=')[2]}'" if word.startswith("init_from") else word for word in words)
    found = configured_by(load_saved(tmp_path / "config.yaml", {}), never)(words)
    assert found == repeat(tmp_path, quoted, catalog)[0]
    assert configured_by(base, never)(words) == load((*RUN, *quoted), catalog)
    assert found.optim.arguments["lr"] == float(words[0].partition("=")[2])


@pytest.mark.parametrize(
    "word", ["optim=adamw", "trainer.epochs=1", "data.batch_size=8", "optim.lr=auto", "model.norm=none"]
)
def test_everything_else_is_composed(word: str) -> None:
    other = load(("data=iris",), Catalog())
    assert configured_by(load(RUN, Catalog()), lambda words: other)((word,)) is other
