"""YAML files of a user's own folder and of a run, thousands of them: read and used, or refused with an exit code."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import yaml
from bad_input import CATALOG, ENVIRONMENT, Judge, fuzz, numbers, odd_scalars, part, plain_text, references, text
from hypothesis import given
from hypothesis import strategies as st

from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog, builtin_root
from dlexp.config.saved import load_saved, read_overrides, to_yaml
from dlexp.config.schema.names import GROUPS

FILES = [*sorted(builtin_root().glob("*/*.yaml")), builtin_root() / "config.yaml"]
PLACES = [*(f"{group}/own.yaml" for group in GROUPS), "config.yaml", *(f"{group}/_fields.yaml" for group in GROUPS[:6])]


@cache
def saved() -> str:
    """The configuration of a run, as its directory keeps it."""
    return to_yaml(load([], CATALOG))


values = st.one_of(
    numbers,
    odd_scalars,
    plain_text,
    references,
    text,
    st.sampled_from(
        [
            *(
                "[1, 2]",
                "{a: 1}",
                "[[[[[[]]]]]]",
                "{a: {b: {c: 1}}}",
                "!!python/name:os.system",
                "!!binary aGk=",
                "!!set {a}",
            ),
            *(
                "!!int abc",
                "!!float x",
                "!!timestamp 2020-01-01",
                "2020-13-45",
                "2020-02-30",
                "!!null x",
                "!a b",
                "*a",
                "&a 1",
            ),
            *(
                "&a [*a]",
                "<<: *a",
                "|\n  a\n  b",
                ">-\n  a",
                "'it''s'",
                '"\\x41"',
                '"\\ud800"',
                "9" * 5000,
                "0o17",
                "0b1",
            ),
            *(
                "1:2:3:4",
                "190:20:30",
                "=",
                "<<",
                "- 1",
                "? a",
                "{[1]: 2}",
                "{a: 1, a: 2}",
                "[a, b: c]",
                "{1: 2}",
                "{null: 1}",
            ),
        ]
    ),
)
known_keys = sorted(
    {line.split(":")[0].strip() for path in FILES for line in path.read_text().splitlines() if ":" in line}
)
keys = st.one_of(
    st.sampled_from(known_keys),
    st.sampled_from(known_keys),
    st.sampled_from(
        ["defaults", "_target_", "_search_", "_inputs_", "hydra", "<<", "1", "null", "true", "? [a]", "a.b", "[0]"]
    ),
    plain_text,
    text,
)
lines = st.builds(
    lambda indent, key, value: f"{' ' * indent}{key}: {value}", st.sampled_from([0, 0, 0, 2, 2, 4, 1]), keys, values
)
entries = st.builds(
    lambda override, key, option: f"  - {override}{key}: {option}",
    st.sampled_from(["", "override ", "override /", "/", "optional "]),
    st.one_of(st.sampled_from([*GROUPS, "hydra/output", "../x", "model@data", "task@_global_.task"]), plain_text),
    st.one_of(st.sampled_from(["mlp", "digits", "../../x", "null", "[a, b]", "_self_", "own"]), plain_text),
)
tails = st.one_of(
    st.sampled_from(["  - _self_", "  - _base", "  - own", "  - ../x", "  - 3", "  - null", "  - [a]", "- x"]), entries
)
defaults = st.lists(tails, max_size=4).map(lambda found: "\n".join(["defaults:", *found]))
headers = st.sampled_from(
    ["# @package _global_", "# @package x.y", "# @package _group_", "# @package", "%YAML 9.9", "---", "\ufeff# x"]
)
pieces = st.one_of(lines, lines, lines, defaults, entries, headers, text)


@st.composite
def changed(draw: st.DrawFn, source: str) -> str:
    """A file that works, with some lines gone, doubled, or new ones among them."""
    found = source.splitlines()
    for _ in range(draw(st.integers(1, 3))):
        where = draw(st.integers(0, max(len(found) - 1, 0)))
        what = draw(st.sampled_from(["value", "value", "add", "drop", "double", "cut"]))
        if what == "add" or not found:
            found.insert(where, draw(pieces))
        elif what == "value":
            found[where] = f"{found[where].partition(':')[0]}: {draw(values)}"
        elif what == "drop":
            del found[where]
        elif what == "double":
            found.insert(where, found[where])
        else:
            found[where] = found[where][: draw(st.integers(0, len(found[where])))]
    return "\n".join(found) + "\n"


own_files = st.one_of(
    st.sampled_from(FILES).flatmap(
        lambda path: st.tuples(
            st.just(f"{path.parent.name}/own.yaml" if path.parent != builtin_root() else "config.yaml"),
            changed(path.read_text()),
        )
    ),
    st.tuples(st.sampled_from(PLACES), st.lists(pieces, max_size=6).map("\n".join)),
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, "7")
    Path("t.csv").write_text("a,b,y\n" + "".join(f"{n},{n * n % 7},{n % 2}\n" for n in range(40)))


def words_for(place: str) -> list[str]:
    """What chooses a file."""
    group = place.partition("/")[0]
    if not place.endswith("own.yaml"):
        return []
    return [f"{group}=own", *(["+data.path=t.csv", "+data.target=y"] if group == "data" else [])]


@part
def test_own_files_compose_or_are_refused(part: int, record_property: Callable[[str, object], None]) -> None:
    judge, number = Judge("yaml", part), itertools.count()

    @fuzz("yaml", part)
    @given(own_files)
    def attempt(file: tuple[str, str]) -> None:
        root = Path(f"own-{next(number)}")
        path = root / file[0]
        path.parent.mkdir(parents=True)
        path.write_bytes(file[1].encode("utf-8", "surrogatepass"))
        judge(lambda: load(words_for(file[0]), Catalog((root,))))

    attempt()
    record_property("generated", judge.counts())


@part
def test_own_files_are_listed_or_refused(part: int, record_property: Callable[[str, object], None]) -> None:
    """What `dlexp list`, completion and `--explain` read, with nothing composed."""
    judge, number = Judge("listed", part), itertools.count()

    def everything(root: Path, group: str) -> None:
        catalog = Catalog((root,))
        assert catalog.groups
        for option in catalog.options(group):
            catalog.keys(group, option)
            catalog.search_space(group, option)
        catalog.fields(group)

    @fuzz("listed", part)
    @given(own_files)
    def attempt(file: tuple[str, str]) -> None:
        path = Path(f"own-{next(number)}") / file[0]
        path.parent.mkdir(parents=True)
        path.write_bytes(file[1].encode("utf-8", "surrogatepass"))
        judge(lambda: everything(path.parents[file[0].count("/")], file[0].partition("/")[0]))

    attempt()
    record_property("generated", judge.counts())


@part
def test_files_of_a_run_are_read_or_refused(part: int, record_property: Callable[[str, object], None]) -> None:
    judge = Judge("saved", part)
    path, words = Path("config.yaml"), Path("overrides.yaml")

    @fuzz("saved", part)
    @given(changed(saved()), st.one_of(st.none(), st.lists(pieces, max_size=3).map("\n".join)))
    def attempt(config: str, overrides: str | None) -> None:
        for file, content in ((path, config), (words, overrides or "")):
            file.write_bytes(content.encode("utf-8", "surrogatepass"))
        judge(lambda: (load_saved(path), read_overrides(words)))

    attempt()
    record_property("generated", judge.counts())


def test_what_is_generated_is_yaml_often_enough() -> None:
    assert len(FILES) > 40
    assert yaml.safe_load(saved())["seed"] == 42
