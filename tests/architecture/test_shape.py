"""The house rules that a machine can hold: sizes, cycles, one backward, one place for randomness."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "dlexp"
FILES = sorted(PACKAGE.rglob("*.py"))
MAX_FILE, MAX_FUNCTION, MAX_ARGUMENTS = 400, 60, 8
# A component's keyword arguments are the keys of its configuration node, and a command's are its options.
SIGNATURES_THAT_ARE_SCHEMAS = (
    *("dlexp/data/", "dlexp/models/", "dlexp/optim/", "dlexp/tasks/", "dlexp/cli/commands/"),
    *(
        "dlexp/api/compressions.py",
        "dlexp/api/examinations.py",
        "dlexp/api/run_samples.py",
        "dlexp/api/training.py",
        "dlexp/api/studies.py",
    ),
)


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                yield str(path.relative_to(ROOT)), node


def modules_imported_by(path: Path) -> set[str]:
    """Modules of dlexp that `path` imports: at once, when a function is called, or for its types alone."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dlexp"):
            base = node.module or ""
            for name in node.names:
                is_module = (ROOT / base.replace(".", "/") / f"{name.name}.py").is_file()
                found.add(f"{base}.{name.name}" if is_module else base)
    return found


def test_the_whole_package_is_looked_at() -> None:
    assert len(FILES) > 60
    assert sum(1 for _ in functions()) > 300


def test_no_file_is_too_long() -> None:
    sizes = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in FILES}
    assert {name: size for name, size in sizes.items() if size > MAX_FILE} == {}


def test_no_function_is_too_long() -> None:
    sizes = {f"{name}:{f.name}": (f.end_lineno or 0) - f.lineno + 1 for name, f in functions()}
    assert {name: size for name, size in sizes.items() if size > MAX_FUNCTION} == {}


def test_no_function_takes_too_many_arguments() -> None:
    counts = {
        f"{name}:{f.name}": len(f.args.args)
        + len(f.args.kwonlyargs)
        - (f.args.args[:1] != [] and f.args.args[0].arg == "self")
        for name, f in functions()
        if not name.startswith(SIGNATURES_THAT_ARE_SCHEMAS)
    }
    assert {name: count for name, count in counts.items() if count > MAX_ARGUMENTS} == {}


def test_no_module_imports_itself_in_the_end() -> None:
    graph = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): modules_imported_by(path)
        for path in FILES
    }
    assert sum(map(len, graph.values())) > 100
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name not in done:
            for following in graph.get(name, ()):
                visit(following, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_there_is_one_backward() -> None:
    found = [
        str(path.relative_to(PACKAGE))
        for path in FILES
        if ".backward()" in path.read_text().replace("`backward()`", "")
    ]
    assert found == ["engine/step.py"]


def test_the_engine_knows_no_task_model_or_data_set() -> None:
    names = {path.stem for group in ("task", "model", "data") for path in (ROOT / "conf" / group).glob("[a-z]*.yaml")}
    assert {"classification", "resnet18", "digits"} <= names
    for path in (PACKAGE / "engine").rglob("*.py"):
        words = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        strings = {n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant)}
        assert not names & (words | {s for s in strings if isinstance(s, str)}), path.name


def test_randomness_and_devices_come_from_runtime() -> None:
    for path in FILES:
        if "runtime" not in path.parts:
            text = path.read_text()
            for word in ("manual_seed", "np.random.seed", "random.seed(", ".cuda()"):
                assert word not in text, f"{path.name} has {word}"


def test_components_never_see_a_configuration() -> None:
    for folder in ("data", "models", "losses", "metrics", "optim", "regularization", "tasks", "engine"):
        for path in (PACKAGE / folder).rglob("*.py"):
            assert not any(name.startswith("dlexp.config") for name in modules_imported_by(path)), path


def imports_of(path: Path) -> set[str]:
    """Every module that `path` imports, anywhere in it; `from package import name` counts as both."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def test_commands_call_and_views_print() -> None:
    rooms = {"commands": ("rich", "dlexp.cli.console"), "views": ("typer", "dlexp.cli.commands", "dlexp.cli.argv")}
    for room, forbidden in rooms.items():
        paths = sorted((PACKAGE / "cli" / room).rglob("*.py"))
        assert len(paths) > 15
        for path in paths:
            names = imports_of(path)
            wrong = {name for name in names if any(name == no or name.startswith(f"{no}.") for no in forbidden)}
            assert not wrong, f"{path.relative_to(ROOT)} imports {', '.join(sorted(wrong))}"


def test_no_module_is_a_drawer_for_everything() -> None:
    assert not [path for path in FILES if path.stem in ("utils", "util", "helpers", "common", "misc")]


def test_public_functions_and_classes_say_what_they_are() -> None:
    silent = []
    for path in FILES:
        tree = ast.parse(path.read_text())
        for node in tree.body:
            if (
                isinstance(node, ast.FunctionDef | ast.ClassDef)
                and not node.name.startswith("_")
                and not ast.get_docstring(node)
            ):
                silent.append(f"{path.relative_to(ROOT)}:{node.name}")
    assert silent == []
