"""What init_from takes over, what it leaves, and what it says of both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from refusals import refused

from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.assemble.experiment import Experiment, assemble
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError
from dlexp.workflows.prepare.initial_weights import prepared

SMALL = ("model.hidden=[6,4]", "trainer.device=cpu")


def experiment(*words: str) -> Experiment:
    return assemble(load([*SMALL, *words], Catalog()))


@pytest.fixture
def source(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A checkpoint of a network for ten digits, and its weights."""
    run = RunDir.create("train", "source", tmp_path / "source")
    networks = experiment("seed=9").networks
    path = run / "checkpoints" / "best.pt"
    path.parent.mkdir(exist_ok=True)
    torch.save({"networks": networks.state_dict(), "position": {}, "metrics": {}}, path)
    return path, networks.state_dict()


def taken(source: Path, *words: str) -> tuple[dict[str, Any], str]:
    found = prepared(load([*SMALL, f"init_from={source}", *words], Catalog()), ())
    return found.networks.state_dict(), found.notes[0]


def test_everything_is_taken_and_told(source: tuple[Path, dict[str, Any]]) -> None:
    found, said = taken(source[0])
    assert all(torch.equal(found[name], value) for name, value in source[1].items())
    assert f"{len(source[1])} of {len(source[1])} tensors" in said


@pytest.mark.parametrize("words", [(), ("data.classes=[5,6,7]",)])
def test_a_new_head_begins_anew_with_as_many_classes_or_with_others(
    source: tuple[Path, dict[str, Any]], words: tuple[str, ...]
) -> None:
    found, said = taken(source[0], "init_head=new", *words)
    fresh = experiment(*words).networks.state_dict()
    names = list(found)
    head = names[-2:]
    assert [len(found[name]) for name in head] == [3 if words else 10] * 2
    for name in names:
        assert torch.equal(found[name], fresh[name] if name in head else source[1][name])
    assert said.endswith(f": {', '.join(sorted(head))}")


def test_other_classes_are_refused_with_the_remedy(source: tuple[Path, dict[str, Any]]) -> None:
    with pytest.raises(ConfigError) as error:
        taken(source[0], "data.classes=[5,6,7]")
    refused(error.value, "incompatible-weights", "init_from", "init_head=new")


def test_what_does_not_fit_begins_anew_when_it_may(source: tuple[Path, dict[str, Any]]) -> None:
    words = ("model.hidden=[6,5]", "init_strict=false")
    found, said = taken(source[0], *words)
    fresh = experiment(*words[:1]).networks.state_dict()
    for name, value in found.items():
        same = source[1][name].shape == fresh[name].shape
        assert torch.equal(value, source[1][name] if same else fresh[name])
    assert "shape: model." in said
    with pytest.raises(ConfigError) as error:
        taken(source[0], words[0])
    refused(error.value, "incompatible-weights", "init_from", "init_strict=false")
    with pytest.raises(ConfigError) as error:
        taken(source[0], "model.hidden=[7,3]", "model.norm=none", "data.classes=[1,2]", "init_strict=false")
    refused(error.value, "incompatible-weights", "init_from", "model")
    assert "init_strict" not in str(error.value)


def test_more_layers_are_told_as_missing_and_fewer_as_not_wanted(source: tuple[Path, dict[str, Any]]) -> None:
    _, said = taken(source[0], "model.hidden=[6,4,4]", "init_strict=false")
    assert "missing: model." in said
    _, said = taken(source[0], "model.hidden=[6]", "init_strict=false")
    assert "unused: model." in said


def test_an_average_that_was_judged_is_what_is_taken(source: tuple[Path, dict[str, Any]]) -> None:
    path, weights = source
    judged = {name: value + 1 for name, value in weights.items()}
    torch.save({"networks": weights, "eval_weights": judged, "position": {}}, path)
    found, _ = taken(path)
    assert all(torch.equal(found[name], value) for name, value in judged.items())
