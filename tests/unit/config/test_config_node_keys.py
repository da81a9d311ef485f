"""Hydra's directives in a node are refused with the reason, wherever they stand; nothing is ignored in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError


def refusal(words: list[str], root: Path | None = None) -> str:
    with pytest.raises(ConfigError) as refused:
        load(words, Catalog((root,) if root else ()))
    return str(refused.value)


@pytest.mark.parametrize("key", ["_args_", "_partial_", "_convert_", "_recursive_", "_self_", "_extra_"])
def test_directive_in_a_file_is_refused_with_its_line(tmp_path: Path, key: str) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "own.yaml").write_text(f"defaults: [mlp, _self_]\n{key}: true\n")
    told = refusal(["model=own"], tmp_path)
    assert f"model.{key}=true" in told and "own.yaml:2" in told and "unknown configuration key: " in told


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("act: {_target_: torch.nn.ReLU}", "model.act._target_=torch.nn.ReLU"),
        ("a: [{b: {_partial_: true}}]", "model.a.0.b._partial_=true"),
    ],
)
def test_node_within_a_node_is_refused(tmp_path: Path, text: str, path: str) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "own.yaml").write_text(f"defaults: [mlp, _self_]\n{text}\n")
    assert path in refusal(["model=own"], tmp_path)


@pytest.mark.parametrize(
    ("word", "rule"),
    [
        ("model._partial_=true", "dlexp calls a component when the run is built"),
        ("+optim._args_=[1]", "arguments are given by name"),
        ("+model.x={_target_: os.system}", "only the node of a group names what is called"),
        ("+trainer._target_=x", "is no key of this configuration"),
        ("hydra.run.dir=x", "dlexp owns the run directory"),
        ("hydra/launcher=x", "dlexp owns the run directory"),
        (f"data.drop={'[' * 60}{']' * 60}", "must nest at most 50"),
        (f"+model.x={'{a:' * 1500}1{'}' * 1500}", "must nest at most 50"),
    ],
)
def test_word_of_the_line_is_refused(word: str, rule: str) -> None:
    assert rule in refusal([word])


def test_package_line_that_has_no_effect_is_told(tmp_path: Path) -> None:
    for group in ("experiment", "model"):
        (tmp_path / group).mkdir()
    (tmp_path / "experiment" / "own.yaml").write_text("# mine\n# @package _global_\nseed: 1\n")
    (tmp_path / "model" / "own.yaml").write_text("# mine\n# @package _global_\ndefaults: [mlp]\n")
    told = refusal(["experiment=own", "model=own"], tmp_path)
    assert "experiment/own.yaml:2): has no effect below another comment; make it the first line" in told
    assert "model/own.yaml:2): a file has one place here; leave the line out" in told


def test_nodes_of_dlexp_itself_are_not_refused() -> None:
    load(["model=ft_transformer", "data=iris", "task=classification"], Catalog())
