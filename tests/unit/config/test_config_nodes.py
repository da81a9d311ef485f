"""What a configuration may call (R13): an exact allow-list, and a user's own package only when trusted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from refusals import refused

from dlexp.config.nodes import build, check_arguments, resolve, trusted_packages
from dlexp.config.schema.run import Node
from dlexp.errors import ConfigError


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.open",
        "builtins.eval",
        "subprocess.run",
        "logging.os.system",
        "functools.reduce",
        "pickle.loads",
        "runpy.run_path",
        "shutil.rmtree",
        "torch.load",
        "torch.hub.load",
        "torch.utils.cpp_extension.load",
        "torch.nn.functional.relu",
        "torch.nn.modules.linear.warnings",
        "torch.nn.Parameter",
        "torch.nn.init.warnings",
        "torch.nn.utils.warnings.warn",
        "torch.optim.lr_scheduler.warnings",
        "torch.optim.lr_scheduler.partial",
        "torch.optim.Adam.load_state_dict",
        "torchvision.models.get_weight",
        "torchvision.models.list_models",
        "torchvision.io.read_file",
        "timm.models.load_checkpoint",
        "pip._internal.cli.main.main",
        "hydra.utils.instantiate",
        "dlexp.config.nodes.importlib.import_module",
        "dlexp.config.nodes.resolve",
        "dlexp.data.sources.sklearn_sets.np.load",
        "dlexp.data.sources.table_file.Path",
        "dlexp.data.sources.table_file._read",
        "dlexp.data.bundle.fingerprint_of",
        "dlexp.models.mlp.nn",
        "dlexp.models.mlp.prod",
        "dlexp.artifacts.files.writing.write_atomically",
        "dlexp.cli.app.main",
        "torch.nn._reduction",
        "Linear",
        "",
        "torch.nn.",
        ".torch.nn.Linear",
        "torch..nn.Linear",
        "torch.nn.Linear()",
        "__main__.x",
        "__import__('os').system",
    ],
)
def test_what_is_not_on_the_list_is_refused(target: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(target, ())
    assert caught.value.problems[0].where == "_target_"


@pytest.mark.parametrize("target", ["antigravity.x", "this.x", "lib2to3.pgen2.driver.load"])
def test_nothing_is_imported_to_refuse_it(target: str) -> None:
    with pytest.raises(ConfigError):
        resolve(target, ())
    assert target.partition(".")[0] not in sys.modules


def test_refusal_does_not_advise_to_trust_the_standard_library() -> None:
    with pytest.raises(ConfigError) as standard:
        resolve("os.system", ())
    with pytest.raises(ConfigError) as own:
        resolve("my_package.nets.Net", ())
    refused(own.value, "untrusted", "_target_", "--trust my_package")
    refused(standard.value, "untrusted", "_target_")
    assert "--trust" not in str(standard.value)


@pytest.mark.parametrize(
    "target",
    [
        "torch.nn.Linear",
        "torch.nn.CrossEntropyLoss",
        "torch.optim.SGD",
        "torch.optim.lr_scheduler.StepLR",
        "torchvision.models.resnet18",
        "torchvision.transforms.v2.RandomCrop",
        "dlexp.models.mlp.mlp",
        "dlexp.data.sources.table_file.table_file",
        "dlexp.tasks.classification.Classification",
    ],
)
def test_what_is_on_the_list_is_found(target: str) -> None:
    found: Any = resolve(target, ())
    assert callable(found)
    assert found.__name__ == target.rpartition(".")[2]


def test_near_name_is_offered_for_one_that_is_not_there() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve("torch.nn.Linaer", ())
    refused(caught.value, "not-found", "_target_", "torch.nn.Linear")


def test_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve("dlexp_test_nets.Net", ("dlexp_test_nets",))
    refused(caught.value, "not-found", "_target_")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of the user's own in the current folder."""
    name = "dlexp_test_package"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "nets.py").write_text(
        "def net(*, width: int = 2, num_outputs: int) -> int:\n    return width * num_outputs\n"
    )
    monkeypatch.setattr(sys, "path", list(sys.path))
    for module in (name, f"{name}.nets"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return name


def test_own_package_needs_trust(package: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(f"{package}.nets.net", ())
    refused(caught.value, "untrusted", "_target_", f"--trust {package}")
    assert package not in sys.modules


def test_trusted_package_is_found_in_the_current_folder(package: str) -> None:
    trusted = trusted_packages([package])
    node = Node("model", "x", f"{package}.nets.net", {"width": 3})
    assert build(node, {"num_outputs": 5, "in_channels": 1}, trusted) == 15


def test_environment_names_trusted_packages(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLEXP_TRUST", f"other,{package}")
    assert trusted_packages(["third"]) == ("third", "other", package)


def test_trust_ends_at_the_name(package: str) -> None:
    with pytest.raises(ConfigError):
        resolve(f"{package}.nets.net", (package[:-1],))
    with pytest.raises(ConfigError):
        resolve("os.system", (package,))


def test_nobody_trusted_leaves_the_path_alone(package: str) -> None:
    before = list(sys.path)
    assert trusted_packages([]) == ()
    assert sys.path == before


def test_argument_that_the_target_has_not_gets_the_nearest_name() -> None:  # H4: also what +key= added
    node = Node("optim", "adamw", "torch.optim.AdamW", {"lr": 0.1, "weight_decy": 0.1})
    (problem,) = check_arguments(node, ("params",), ())
    assert (problem.where, problem.code) == ("optim.weight_decy", "unknown-key")
    assert "torch.optim.AdamW" in problem.rule
    assert "optim.weight_decay" in problem.remedy


def test_argument_that_is_needed_and_missing_is_told() -> None:
    node = Node("model", "x", "torch.nn.Linear", {"in_features": 3})
    (problem,) = check_arguments(node, (), ())
    assert (problem.where, problem.code) == ("model.out_features", "missing-value")
    assert "torch.nn.Linear" in problem.rule


def test_build_fills_in_what_the_signature_asks_for() -> None:
    node = Node("model", "mlp", "dlexp.models.mlp.mlp", {"hidden": [4]})
    network = build(node, {"input_shape": (3,), "num_outputs": 2, "in_channels": 9}, ())
    assert network(torch.zeros(5, 3)).shape == (5, 2)


def test_what_the_target_refuses_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"Invalid learning rate: -1") as caught:  # torch's own words
        build(Node("optim", "sgd", "torch.optim.SGD", {"lr": -1.0}), {"params": [torch.zeros(1)]}, ())
    refused(caught.value, "invalid-value", "optim")
    assert [problem.given for problem in caught.value.problems] == ["sgd"]


def test_wrong_argument_is_refused_before_anything_is_built() -> None:
    with pytest.raises(ConfigError) as caught:
        build(Node("model", "mlp", "dlexp.models.mlp.mlp", {"hiden": [4]}), {"input_shape": (3,), "num_outputs": 2}, ())
    refused(caught.value, "unknown-key", "model.hiden", "model.hidden")
