"""Every line of docs/coverage.md composes and builds, so that the page cannot drift."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from dlexp.assemble import assemble, build_data
from dlexp.begin import start
from dlexp.cli.app import app
from dlexp.config.catalog import GROUPS, Catalog
from dlexp.config.compose import load
from dlexp.data.bundle import DataBundle

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "coverage.md").read_text(encoding="utf-8")
CATALOG = Catalog()
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split("|"))
    for line in PAGE.splitlines()
    if re.match(r"\| [A-Z]+-\d", line)
]
LINES = list(dict.fromkeys(line.strip("`") for _, line, _ in ROWS if line))
COMMANDS = {info.name or getattr(info.callback, "__name__", "") for info in app.registered_commands}
# The rows of the inventory that the page must have.
WANTED = {
    *(f"M-{n:02}" for n in (*range(1, 23), *range(45, 49))),
    *(f"L-{n:02}" for n in (*range(1, 16), 41)),
    *(f"ACT-{n:02}" for n in range(1, 16)),
    *(f"NRM-{n:02}" for n in range(1, 10)),
    *(f"INI-{n:02}" for n in range(1, 6)),
    *(f"LOSS-{n:02}" for n in (*range(1, 16), 23)),
    *(f"OPT-{n:02}" for n in range(1, 15)),
    *(f"SCH-{n:02}" for n in range(1, 13)),
    *(f"REG-{n:02}" for n in (1, *range(6, 20))),
    *(f"TL-{n:02}" for n in range(2, 8)),
    *(f"EVA-{n:02}" for n in (*range(1, 10), 11, 12)),
    "VIS-09",
    *(f"MEM-{n:02}" for n in (1, 2, 3, 12)),
}


@cache
def data_of(words: tuple[str, ...]) -> DataBundle:
    return build_data(load(list(words), CATALOG))


def test_every_row_is_there_with_a_line_or_a_reason() -> None:
    assert {name for name, _, _ in ROWS} >= WANTED
    assert len(set(ROWS)) == len(ROWS)
    assert [name for name, line, note in ROWS if not line and len(note) < 20] == []
    assert len({name for name, line, _ in ROWS if name in WANTED and line}) == len(WANTED) - 1


@pytest.mark.parametrize("line", LINES)
def test_a_line_builds(line: str) -> None:
    program, command, *words = shlex.split(line)
    assert program == "dlexp"
    assert command in COMMANDS
    if command == "list":
        assert set(words) <= set(GROUPS)
    words = [word for word in words if "=" in word and not word.startswith("-")]
    data = tuple(word for word in words if word.startswith("data"))
    config = load([*words, "trainer.device=cpu"], CATALOG)
    experiment = assemble(config, bundle=data_of(data))
    assert experiment.num_parameters > 0
    assert start(experiment).steps_per_epoch > 0
