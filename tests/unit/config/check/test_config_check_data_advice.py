"""What is advised on own data, in one line with the words to type, and that built-in data gets no advice."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import nn

from dlexp.assemble.data_facts import data_facts
from dlexp.assemble.experiment import assemble
from dlexp.config.check.data_advice import DataFacts, advice_on_data
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.schema.data_name import is_own_data
from dlexp.config.schema.run import RunConfig

CATALOG = Catalog()
SIZES = {"train": 600, "val": 200, "test": 200}


@pytest.fixture
def own(tmp_path: Path) -> Any:
    """Composes a configuration of a CSV file."""
    path = tmp_path / "people.csv"
    path.write_text("a,y\n" + "1,x\n2,z\n" * 20)

    def config(*words: str) -> RunConfig:
        return load(["data=csv", f"data.path={path}", "data.target=y", *words], CATALOG)

    return config


@pytest.mark.parametrize(
    ("words", "facts", "typed"),
    [
        ((), {"image_side": 32, "is_dense": True}, "model=resnet18"),
        (("data.batch_size=64",), {"samples": {"train": 60, "val": 100, "test": 100}}, "data.batch_size=8"),
        (("data.batch_size=300", "trainer.accumulate=3"), {}, "trainer.accumulate=2"),
        ((), {"samples": {**SIZES, "val": 1}}, "data.val_fraction=0.3"),
        ((), {"samples": {**SIZES, "val": 2, "test": 2}, "class_names": ("x", "y", "z")}, "data.test_fraction=0.3"),
        ((), {"class_names": ("x", "y"), "val_counts": (200, 0)}, "class 'y'"),
        ((), {"samples": {**SIZES, "val": 90}, "class_names": ("x", "y"), "val_counts": (45, 45)}, "± 10 points"),
    ],
)
def test_one_line_says_what_to_type(own: Any, words: tuple[str, ...], facts: dict[str, Any], typed: str) -> None:
    (found,) = advice_on_data(own(*words), DataFacts(**{"samples": SIZES, **facts}))
    assert typed in found
    assert "\n" not in found


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        ((), {}),
        ((), {"image_side": 32}),  # a convolutional network
        ((), {"image_side": 8, "is_dense": True}),
        (("data.batch_size=600",), {}),
        (("data.batch_size=300", "trainer.accumulate=2"), {}),
        ((), {"samples": {**SIZES, "test": 0}}),
        ((), {"samples": {**SIZES, "val": 97}, "class_names": ("x", "y"), "val_counts": (1, 96)}),
        ((), {"samples": {**SIZES, "val": 20}}),  # values have no accuracy
        (("model=vae",), {"samples": {**SIZES, "val": 20}, "class_names": ("x", "y")}),  # nor has a reconstruction
        (("model=vae",), {"image_side": 32, "is_dense": True}),
    ],
)
def test_what_is_usual_is_not_told(own: Any, words: tuple[str, ...], facts: dict[str, Any]) -> None:
    assert list(advice_on_data(own(*words), DataFacts(**{"samples": SIZES, **facts}))) == []


@pytest.mark.parametrize(
    "option", [o for o in CATALOG.options("data") if not is_own_data(o) and "path" not in CATALOG.keys("data", o)]
)
def test_built_in_data_get_no_advice(option: str) -> None:
    config = load([f"data={option}"], CATALOG)
    facts = DataFacts({"train": 3, "val": 1, "test": 1}, 64, True, ("x", "y"), (1, 0))
    assert list(advice_on_data(config, facts)) == []


def test_the_words_of_a_note_can_be_added_to_the_line(own: Any) -> None:
    facts = DataFacts({"train": 60, "val": 1, "test": 1})
    for note in advice_on_data(own("data.batch_size=100"), facts):
        words = re.findall(r"(?:model|data|trainer)[.\w]*=[\w.]+", note.rpartition("Add ")[2])
        assert words
        own(*(word.rstrip(".") for word in words))  # raises an error for a key or a value that is none


def test_an_experiment_knows_its_facts(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(30):
            pixels = rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    words = ["data=image_folder", f"data.path={tmp_path / 'photos'}", "data.image_size=24", "trainer.device=cpu"]
    notes = assemble(load(words, CATALOG)).notes
    assert [note for note in notes if "model=resnet18" in note]
    experiment = assemble(load([*words, "model=simple_cnn"], CATALOG))
    assert not [note for note in experiment.notes if "model=resnet18" in note]
    facts = data_facts(experiment.bundle, experiment.networks)
    assert sum(facts.val_counts) == facts.samples["val"] > 0
    assert (facts.image_side, facts.is_dense) == (24, False)
    assert data_facts(experiment.bundle, nn.Sequential(nn.Linear(2, 2))).is_dense
