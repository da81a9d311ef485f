"""Files that somebody else made: configurations, run directories and checkpoints. None runs anything (R12-R14)."""

from __future__ import annotations

import ast
import importlib
import inspect
import pickle
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import dlexp
from dlexp.artifacts.checkpoints.checkpoint import CheckpointStore
from dlexp.artifacts.files.writing import read_json, write_json
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.assemble.experiment import check_nodes
from dlexp.config.compose import load
from dlexp.config.files import yaml_files as files_module
from dlexp.config.files.catalog import Catalog
from dlexp.config.nodes import _LIBRARY_CLASSES, _OWN, resolve
from dlexp.config.saved import load_saved, read_overrides, to_yaml
from dlexp.config.search import load_search
from dlexp.errors import ConfigError, DlexpError
from dlexp.workflows.evaluate.evaluate import evaluate_run
from dlexp.workflows.prepare.initial_weights import prepared
from dlexp.workflows.reporter import Silent
from dlexp.workflows.train.train import Request, resume, train

# What Hydra 1.3.8 instantiates in spite of its own list of what is forbidden, aliases of it, and the usual ways in.
HARMFUL = (
    *("os.system", "logging.os.system", "subprocess.Popen", "builtins.exec", "builtins.eval", "builtins.open"),
    *("pip._internal.cli.main.main", "urllib.request.urlretrieve", "sys.path.insert", "site.addsitedir", "venv.create"),
    *("shutil.copytree", "pathlib.Path.unlink", "runpy.run_path", "pickle.loads", "functools.reduce", "pdb.run"),
    *("torch.load", "torch.hub.load", "torch.utils.cpp_extension.load", "torch.nn.modules.module.os.system"),
    *(
        "torch.optim.optimizer.os.system",
        "torchvision.models.get_model",
        "hydra.utils.instantiate",
        "timm.models.os.system",
    ),
    *(
        "dlexp.data.sources.table_file.Path.unlink",
        "dlexp.artifacts.runs.run_dir.os.system",
        "dlexp.models.mlp.__builtins__.eval",
    ),
)
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a}]\n" for a, b in zip("abcdef", "bcdefg", strict=True)
)
RUN = ("data=iris", "model.hidden=[4]", "trainer.epochs=1")


def own(files: dict[str, str]) -> Catalog:
    for name, content in files.items():
        Path("my", name).parent.mkdir(parents=True, exist_ok=True)
        Path("my", name).write_text(content)
    return Catalog((Path("my"),))


class Harmful:
    """Creates the file `harmed` when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, ("touch harmed",)


@pytest.fixture
def run() -> RunDir:
    """A finished run, in the folder of the test."""
    train(load(RUN, Catalog()), Request(RUN, ("dlexp",), Path("run")), Silent())
    return RunDir(Path("run"))


# --- what a configuration may call ---


@pytest.mark.parametrize("target", HARMFUL)
def test_harmful_targets_are_refused_wherever_they_are_written(target: str) -> None:
    before = set(sys.modules)
    with pytest.raises(ConfigError):
        resolve(target, ())
    for key in ("model._target_", "data._detect_"):
        for sign in ("", "+", "++"):
            with pytest.raises(ConfigError):
                load([f"{sign}{key}={target}"], Catalog())
    catalog = own(
        {"model/net.yaml": f"_target_: {target}\n", "data/net.yaml": f"_target_: {target}\n_detect_: {target}\n"}
    )
    with pytest.raises(ConfigError):
        check_nodes(load(["model=net"], catalog), ())
    with pytest.raises(ConfigError):
        load(["data=net"], catalog)
    saved = to_yaml(load([], Catalog())).replace("dlexp.models.mlp.mlp", target)
    Path("config.yaml").write_text(saved)
    with pytest.raises(ConfigError):
        check_nodes(load_saved(Path("config.yaml")), ())
    assert not {name.partition(".")[0] for name in set(sys.modules) - before} & {"pip", "venv", "pdb", "site", "runpy"}


def test_every_name_within_reach_of_the_list_is_what_the_list_says() -> None:
    """All names of the modules on the list, and all names of those, each accepted or refused rightly."""
    bases = {name: _named(base) for name, base in _LIBRARY_CLASSES.items()}
    root = Path(dlexp.__file__).parent
    own_modules = [
        ".".join(("dlexp", *path.relative_to(root).with_suffix("").parts))
        for folder in _OWN
        for path in sorted(root.glob(f"{folder}/**/*.py"))
    ]
    seen = accepted = 0
    for module_name in [*bases, *own_modules, "torchvision.models"]:
        module = importlib.import_module(module_name.removesuffix(".__init__"))
        for name in dir(module):
            for path in (name, *(f"{name}.{deeper}" for deeper in dir(getattr(module, name, None)))):
                target, seen = f"{module_name}.{path}", seen + 1
                try:
                    found: Any = resolve(target, ())
                except ConfigError:
                    continue
                accepted += 1
                holder = target.rpartition(".")[0]
                if holder in bases:
                    assert inspect.isclass(found), target
                    assert issubclass(found, bases[holder]), target
                elif holder == "torchvision.models":
                    assert found.__module__.startswith("torchvision.models."), target
                else:
                    assert found.__module__ == holder, target
                    assert path in module.__all__, target
    assert seen > 20_000
    assert 200 < accepted < 1_000


def _named(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_the_program_itself_unpickles_and_evaluates_nothing() -> None:
    """A rule for the whole package: no eval, no pickle, no unsafe YAML, and every torch.load is weights_only=True."""
    loads = 0
    for path in Path(dlexp.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                assert not names & {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}, path
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                options = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert called not in ("eval", "exec", "compile", "__import__", "os.system", "yaml.unsafe_load"), path
                assert options.get("allow_pickle", "False") == "False", path
                assert options.get("shell", "False") == "False", path
                if called == "torch.load":
                    loads += 1
                    assert options.get("weights_only") == "True", path
    assert loads == 4  # a checkpoint, the weights of a zoo, arrays of a user's own, and the kept classifier


# --- what a configuration may read ---


@pytest.mark.parametrize("link", ["model/evil.yaml", "model", "config.yaml"])
def test_link_that_leads_out_of_the_folder_is_refused(link: str) -> None:
    Path("outside/model").mkdir(parents=True)
    for name in ("evil.yaml", "model/evil.yaml"):
        Path("outside", name).write_text("_target_: dlexp.models.mlp.mlp\nhidden: [3]\n")
    Path("my/model").mkdir(parents=True)
    if link == "model":
        Path("my/model").rmdir()
    Path("my", link).symlink_to(Path("outside/model" if link == "model" else "outside/evil.yaml").resolve())
    with pytest.raises(ConfigError, match=r"symbolic link points outside of .*my\. .*--config-dir"):
        Catalog((Path("my"),))


def test_link_within_the_folder_and_a_linked_folder_itself_are_followed() -> None:
    own({"model/net.yaml": "_target_: dlexp.models.mlp.mlp\nhidden: [3]\n"})
    Path("my/model/alias.yaml").symlink_to("net.yaml")
    Path("linked").symlink_to("my")
    assert load(["model=alias"], Catalog((Path("linked"),))).model.arguments == {"hidden": [3]}


def test_links_in_a_circle_are_refused() -> None:
    Path("my").mkdir()
    Path("my/a.yaml").symlink_to("b.yaml")
    Path("my/b.yaml").symlink_to("a.yaml")
    with pytest.raises(ConfigError, match="symbolic link"):
        Catalog((Path("my"),))


@pytest.mark.parametrize("name", ["../../x", "a/b", "/etc/x", "x" * 51, "a\nb", "a\0b", "\u202ex"])
def test_name_cannot_leave_its_folder(name: str) -> None:
    with pytest.raises(ConfigError, match="as part of the name of a directory"):
        load([f'name="{name}"'], Catalog())


# --- files that explode ---


def test_the_bomb_is_as_small_as_the_promise_says() -> None:
    assert len(BOMB) < 280
    assert 9 * 8**6 > 2_000_000


PLACES: list[tuple[str, Callable[[], Any]]] = [
    ("my/model/net.yaml", lambda: load(["model=net"], Catalog((Path("my"),)))),
    ("my/config.yaml", lambda: load([], Catalog((Path("my"),)))),
    ("my/model/_fields.yaml", lambda: Catalog((Path("my"),)).fields("model")),
    ("my/experiment/e.yaml", lambda: load(["experiment=e"], Catalog((Path("my"),)))),
    ("my/search/s.yaml", lambda: load_search(["search=s"], Catalog((Path("my"),)))),
    ("run/config.yaml", lambda: load_saved(Path("run/config.yaml"))),
    ("run/overrides.yaml", lambda: read_overrides(Path("run/overrides.yaml"))),
]


@pytest.mark.parametrize(("place", "read"), PLACES)
def test_bomb_is_refused_with_little_work_wherever_it_lies(
    place: str, read: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work is counted, not timed: its nodes are looked at a few hundred times, and none of it is ever built."""
    path, looks = Path(place), 0
    path.parent.mkdir(parents=True)
    path.write_text(BOMB)
    weigh = files_module._weight

    def counted(node: yaml.Node, seen: dict[int, int], depth: int) -> int:
        nonlocal looks
        looks += 1
        return weigh(node, seen, depth)

    def built(self: yaml.constructor.SafeConstructor, node: yaml.Node, deep: bool = False) -> Any:
        assert Path(node.start_mark.name).name != path.name and "&a" not in str(node.start_mark.buffer), "it is built"
        return construct(self, node, deep)

    construct = yaml.constructor.SafeConstructor.construct_object
    monkeypatch.setattr(files_module, "_weight", counted)
    monkeypatch.setattr(yaml.constructor.SafeConstructor, "construct_object", built)
    with pytest.raises(ConfigError, match="10000"):
        read()
    assert looks < 20_000


# --- checkpoints and run directories ---


def poison(run: RunDir, name: str, content: bytes) -> None:
    """Put a file in place of a checkpoint, with its hash entered, as one who owns the directory can."""
    (run / "checkpoints" / name).write_bytes(content)
    hashes = read_json(run / "checkpoints" / "hashes.json")
    hashes[name] = [sha256(content).hexdigest()]
    write_json(run / "checkpoints" / "hashes.json", hashes)


def harmful_torch_file() -> bytes:
    torch.save({"networks": Harmful(), "position": {"epoch": 1}}, "harmful.pt")
    return Path("harmful.pt").read_bytes()


@pytest.mark.parametrize("content", [lambda: pickle.dumps({"networks": Harmful()}), harmful_torch_file])
def test_checkpoint_that_would_run_something_is_refused_by_every_command(content: Any, run: RunDir) -> None:
    for name in ("last.pt", "previous.pt", "best.pt"):
        poison(run, name, content())
    config = load_saved(run / "config.yaml", {"trainer.epochs": 2})
    for attempt in (
        lambda: evaluate_run(run.path, "val", "best", {}, ()),
        lambda: evaluate_run(run.path, "val", "last", {}, ()),
        lambda: prepared(load([*RUN, f"init_from={run.path}"], Catalog()), ()),
        lambda: resume(run, config, (), Silent()),
    ):
        with pytest.raises(DlexpError) as caught:
            attempt()
        assert ".pt" in str(caught.value)
        assert isinstance(caught.value, ConfigError) or caught.value.code in ("untrusted", "corrupted")
    assert not Path("harmed").exists()


def test_checkpoint_with_other_contents_is_refused_in_words(run: RunDir) -> None:
    states: list[Any] = [{"networks": 3}, {"networks": {"a": "b"}}, {"networks": {}}, {"networks": {1: torch.ones(2)}}]
    for state in states:
        torch.save(state, "foreign.pt")
        for name in ("last.pt", "best.pt"):
            poison(run, name, Path("foreign.pt").read_bytes())
        with pytest.raises(DlexpError):
            evaluate_run(run.path, "val", "best", {}, ())
        (run / "checkpoints" / "previous.pt").unlink(missing_ok=True)
        with pytest.raises(DlexpError):
            resume(run, load_saved(run / "config.yaml", {"trainer.epochs": 2}), (), Silent())


def test_weights_alone_do_not_pass_for_a_state_to_continue_from(run: RunDir) -> None:
    best = CheckpointStore(run / "checkpoints", print).load_best()
    torch.save(best, "best.pt")
    poison(run, "last.pt", Path("best.pt").read_bytes())
    with pytest.raises(DlexpError, match="'optimizers'"):
        resume(run, load_saved(run / "config.yaml", {"trainer.epochs": 2}), (), Silent())


@pytest.mark.parametrize("name", ["meta.json", "status.json"])
@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"state": 3}'])
def test_damaged_words_of_a_run_are_told(name: str, content: str, run: RunDir) -> None:
    if name == "meta.json" and "state" in content:
        content = '{"data_fingerprint": 3}'
    (run / name).write_text(content)
    if (name, content) == ("status.json", ""):  # what a power cut leaves of a heartbeat: no word, and no lie
        assert resume(run, load_saved(run / "config.yaml", {"trainer.epochs": 2}), (), Silent())["epochs"] == 2
        return
    with pytest.raises(DlexpError, match=rf"{name}|data"):
        resume(run, load_saved(run / "config.yaml", {"trainer.epochs": 2}), (), Silent())
