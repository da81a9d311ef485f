"""Rooms: folders of few files, dependencies without cycles, public names with one meaning."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "dlexp"
FILES = sorted(PACKAGE.rglob("*.py"))
MAX_FILES = 15
# A process imports this one first, and it prepares the process.
NOT_EMPTY = {"__init__.py", "cli/__init__.py"}
# Words that a newcomer would have to learn, and the field's words for them (docs/explanation/architecture.md).
PRIVATE_WORDS = {
    *("alike", "asked", "begin", "cells", "glance", "guard", "held", "judged", "kept", "looked", "looks", "member"),
    *("on_request", "past", "rewound", "settle", "since", "stand_in", "stored", "told", "troubles", "watched"),
    *("form", "looks_at", "narrowed", "note_look", "owner", "present", "quiet", "whole", "widened", "written"),
    *("where_told", "written_of"),
}
# The same for names of any kind, also of attributes, arguments and variables; the others are common as those.
PRIVATE_NAMES = {"looks", "looks_at", "narrowed", "note_look", "settle", "told", "where_told", "written_of"}
# Keys and files of a run that have other names now: the accesses to a split.
PRIVATE_TEXTS = ("looks_at_this_split", "looks.jsonl")
# What has a name, and the field of its node that holds it.
NAMED = (
    (ast.Name, "id"),
    (ast.arg, "arg"),
    (ast.Attribute, "attr"),
    (ast.keyword, "arg"),
    ((ast.FunctionDef, ast.ClassDef), "name"),
)
# Names that several modules share. A command, its workflow, its view and its function are one thing from four sides.
ONE_COMMAND = ("workflows.", "cli.", "api.")
SHARED = {
    "evaluate": "the loop of the engine is what the command runs",
    "load": "of Python, a run; of the configuration, what words describe",
    "main": "where a process begins",
    "target_kind": "each source of tables detects its own, and options name it as `_detect_`",
}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


MODULES = {module_of(path) for path in FILES if path.name != "__init__.py"}


def dependencies() -> Iterator[tuple[str, str]]:
    """(module, module that it imports), both within dlexp: at once, in a function, or for its types alone."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "dlexp":
                base = ".".join((node.module or "").split(".")[1:])
                for name in node.names:
                    inner = f"{base}.{name.name}".strip(".")
                    target = inner if inner in MODULES else base
                    if target in MODULES:
                        yield module_of(path).removesuffix(".__init__"), target


EDGES = sorted(set(dependencies()))
ROOMS = sorted({".".join(name.split(".")[:depth]) for name in MODULES for depth in range(name.count(".") + 1)})


@pytest.mark.parametrize("folder", ["dlexp", "tests", "benchmarks"])
def test_no_folder_holds_too_many_files(folder: str) -> None:
    counts: dict[str, int] = defaultdict(int)
    for path in (ROOT / folder).rglob("*.py"):
        if path.name != "__init__.py":
            counts[str(path.parent.relative_to(ROOT))] += 1
    assert len(counts) > 5
    assert {name: count for name, count in counts.items() if count > MAX_FILES} == {}


@pytest.mark.parametrize("room", ROOMS)
def test_no_two_parts_of_a_room_depend_on_each_other(room: str) -> None:
    """Of files and rooms side by side, one is above the other, over any number of steps."""
    prefix = f"{room}." if room else ""
    below: dict[str, set[str]] = defaultdict(set)
    for upper, lower in EDGES:
        if upper.startswith(prefix) and lower.startswith(prefix):
            above, under = (name[len(prefix) :].split(".")[0] for name in (upper, lower))
            if above != under:
                below[above].add(under)
    done: set[str] = set()

    def visit(part: str, trail: tuple[str, ...]) -> None:
        assert part not in trail, " -> ".join((*trail, part))
        if part not in done:
            for lower in sorted(below[part]):
                visit(lower, (*trail, part))
            done.add(part)

    for part in list(below):
        visit(part, ())


def test_a_room_loads_nothing_by_itself() -> None:
    for path in PACKAGE.rglob("__init__.py"):
        if str(path.relative_to(PACKAGE)) not in NOT_EMPTY:
            (statement,) = ast.parse(path.read_text()).body
            assert isinstance(statement, ast.Expr), path
            assert isinstance(statement.value, ast.Constant), path


def test_every_folder_of_code_is_a_room() -> None:
    folders = {path.parent for path in FILES}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_no_name_is_a_private_word() -> None:
    names = {(str(path.relative_to(ROOT)), path.stem) for path in FILES}
    for path in FILES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add((str(path.relative_to(ROOT)), node.name.lower()))
    assert len(names) > 1000
    assert [name for name in sorted(names) if name[1] in PRIVATE_WORDS] == []


def test_no_argument_attribute_or_variable_is_a_private_word() -> None:
    found, count = set(), 0
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            for kind, field in NAMED:
                if isinstance(node, kind):
                    count += 1
                    name = str(getattr(node, field)).strip("_")
                    if name in PRIVATE_NAMES:
                        found.add((str(path.relative_to(ROOT)), name))
    assert count > 10_000
    assert sorted(found) == []


def test_no_private_word_is_written_to_a_run_or_read_from_one() -> None:
    pages = [*FILES, *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "conf").rglob("*.yaml"))]
    texts = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in pages}
    assert len(texts) > 400
    assert [(name, word) for name, text in texts.items() for word in PRIVATE_TEXTS if word in text] == []


def test_a_public_name_has_one_meaning() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in FILES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                # The library in NumPy is read by itself, and its names are those of torch's layers.
                room = "scratch." if module_of(path).startswith("scratch.") else ""
                places[room + node.name].append(module_of(path))
    several = {name: where for name, where in places.items() if len(where) > 1}
    others = {name: where for name, where in several.items() if not all(each.startswith(ONE_COMMAND) for each in where)}
    assert {name: where for name, where in others.items() if name not in SHARED} == {}
    assert {name for name in SHARED if name not in several} == set(), "an exception that is no longer needed"
