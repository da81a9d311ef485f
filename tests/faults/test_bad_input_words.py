"""Words on the command line, thousands of them: whatever composes runs, and all else is refused with its exit code."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from bad_input import CATALOG, ENVIRONMENT, WANTED, Judge, fuzz, part, runnable, words
from hypothesis import given

from dlexp.config import compose as module
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.overrides import ParsedOverrides
from dlexp.workflows.train.train import dry_run


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, "7")
    Path("t.csv").write_text("a,b,y\n" + "".join(f"{n},{n * n % 7},{n % 2}\n" for n in range(40)))


@pytest.fixture
def files_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the files takes a tenth of a second and gives the same for the same choices: it is done once for each."""
    known: dict[str, Callable[[], object]] = {}
    real = module.compose

    def read(parsed: ParsedOverrides) -> Callable[[], object]:
        try:
            found = real(parsed, CATALOG)
        except Exception as error:
            refusal = error

            def again() -> object:
                raise refusal

            return again
        content = pickle.dumps(found)
        return lambda: pickle.loads(content)

    def remembered(parsed: ParsedOverrides, catalog: Catalog) -> object:
        key = repr(sorted(parsed.groups.items()))
        if key not in known:
            known[key] = read(parsed)
        return known[key]()

    monkeypatch.setattr(module, "compose", remembered)


@part
@pytest.mark.usefixtures("files_read_once")
def test_words_compose_or_are_refused(part: int, record_property: Callable[[str, object], None]) -> None:
    judge = Judge("words", part)

    @fuzz("words", part)
    @given(words)
    def attempt(typed: list[str]) -> None:
        judge(lambda: load(typed, CATALOG))

    attempt()
    record_property("generated", judge.counts())


@part
@pytest.mark.usefixtures("files_read_once")
def test_what_composes_makes_an_update_or_is_refused(part: int, record_property: Callable[[str, object], None]) -> None:
    judge = Judge("runs", part)

    @fuzz("runs", part)
    @given(runnable)
    def attempt(typed: list[str]) -> None:
        judge(lambda: dry_run(load(typed, CATALOG), ()))

    attempt()
    record_property("generated", judge.counts())


def test_ten_thousand_inputs_are_generated() -> None:
    assert sum(WANTED.values()) >= 10_000
