"""Hydra's directives in a node are refused with the reason, wherever they stand; nothing is ignored in silence."""

from __future__ import annotations

from pathlib import Path

import pytest
from refusals import refused

from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError


def refusal(words: list[str], root: Path | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(words, Catalog((root,) if root else ()))
    return caught.value


@pytest.mark.parametrize("key", ["_args_", "_partial_", "_convert_", "_recursive_", "_self_", "_extra_"])
def test_directive_in_a_file_is_refused_with_its_line(tmp_path: Path, key: str) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "own.yaml").write_text(f"defaults: [mlp, _self_]\n{key}: true\n")
    error = refusal(["model=own"], tmp_path)
    refused(error, "unknown-key", f"model.{key}")
    assert f"model.{key}=true" in str(error) and "own.yaml:2" in str(error)


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
    error = refusal(["model=own"], tmp_path)
    refused(error, "unknown-key", path.partition("=")[0])
    assert path in str(error)


@pytest.mark.parametrize(
    ("word", "code", "where"),
    [
        ("model._partial_=true", "unknown-key", "model._partial_"),
        ("+optim._args_=[1]", "unknown-key", "optim._args_"),
        ("+model.x={_target_: os.system}", "unknown-key", "model.x._target_"),
        ("+trainer._target_=x", "unknown-key", "trainer._target_"),
        ("hydra.run.dir=x", "not-supported", "hydra.run.dir"),
        ("hydra/launcher=x", "not-supported", "hydra/launcher"),
        (f"data.missing_values={'[' * 60}{']' * 60}", "too-large", "data.missing_values"),
        (f"+model.x={'{a:' * 1500}1{'}' * 1500}", "too-large", "+model.x"),
    ],
)
def test_word_of_the_line_is_refused(word: str, code: str, where: str) -> None:
    refused(refusal([word]), code, where)


def test_package_line_that_has_no_effect_is_told(tmp_path: Path) -> None:
    for group in ("experiment", "model"):
        (tmp_path / group).mkdir()
    (tmp_path / "experiment" / "own.yaml").write_text("# mine\n# @package _global_\nseed: 1\n")
    (tmp_path / "model" / "own.yaml").write_text("# mine\n# @package _global_\ndefaults: [mlp]\n")
    error = refusal(["experiment=own", "model=own"], tmp_path)
    found = {(problem.code, problem.origin.removeprefix(f"{tmp_path}/")) for problem in error.problems}
    assert found == {("no-effect", "experiment/own.yaml:2"), ("not-supported", "model/own.yaml:2")}


def test_nodes_of_dlexp_itself_are_not_refused() -> None:
    load(["model=ft_transformer", "data=iris", "task=classification"], Catalog())
