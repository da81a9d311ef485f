"""Every line of coverage.md composes and builds, so that the page cannot drift."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path

import pytest
from run_toys import trained_teacher
from source_files import folder_of_small_files as folder_of_small_files
from source_files import small_files as small_files

from dlexp.assemble.experiment import assemble, build_data
from dlexp.assemble.training import prepare_training
from dlexp.cli.app import app_with
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.schema.names import GROUPS
from dlexp.data.bundle import DataBundle

PAGE = Path(__file__).with_name("coverage.md").read_text(encoding="utf-8")
CATALOG = Catalog()
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split("|"))
    for line in PAGE.splitlines()
    if re.match(r"\| [A-Z]+-\d", line)
]
LINES = list(dict.fromkeys(line.strip("`") for _, line, _ in ROWS if line))
COMMANDS = {info.name or getattr(info.callback, "__name__", "") for info in app_with().registered_commands}
COMMANDS |= {str(group.name) for group in app_with().registered_groups}
# How many rows the inventory has under each letter: all of them are on the page.
ROWS_OF = {
    "M": 52, "L": 41, "ACT": 15, "NRM": 9, "INI": 5, "LOSS": 24, "OPT": 14, "SCH": 12, "REG": 19, "TRN": 29,
    "PIPE": 16, "TL": 9, "BP": 68, "DBG": 13, "TS": 15, "GEN": 14, "HPO": 18, "EVA": 12, "VIS": 11, "DAT": 22,
    "REF": 11, "NP": 23, "ENS": 1, "CMP": 7, "EX": 14,
}  # fmt: skip
WANTED = {
    *(f"{letter}-{n:02}" for letter, count in ROWS_OF.items() for n in range(1, count + 1)),
    *(f"MEM-{n:02}" for n in (*range(1, 8), 11, 12)),
    *(f"APP-{n:02}" for n in (1, *range(4, 9), 10, 11, 13, 14, 15, 19, 21, 22)),
}
# Those that a reason may stand for: generated images, and what has no meaning here.
REASONED = {
    *(f"M-{n}" for n in range(50, 53)),
    "LOSS-21",
    "REG-04",
    "DAT-22",
    *(f"MEM-{n:02}" for n in (*range(4, 8), 11)),
    *(f"REF-{n:02}" for n in (5, 6, 8, 9, 11)),
    *(f"BP-{n}" for n in (22, 58, 60)),
}


# What other parts of the work still owe, and the number of rows that the inventory has in all.
OWED = {
    *(f"{letter}-{n:02}" for letter, count in {"NP": 23, "CMP": 7}.items() for n in range(1, count + 1)),
    *(f"APP-{n:02}" for n in (2, 3, 5, 6, 9, 12, 16, 17, 18, 20)),
    *(f"MEM-{n:02}" for n in range(8, 11)),
    *(f"EX-{n:02}" for n in range(1, 5)),
    "ENS-01",
}
INVENTORY = 508


@cache
def data_of(words: tuple[str, ...]) -> DataBundle:
    return build_data(load(list(words), CATALOG))


def test_every_row_of_the_inventory_is_on_the_page_or_owed_by_name() -> None:
    assert len(WANTED | OWED) == INVENTORY


def test_every_row_is_there_with_a_line_or_a_reason() -> None:
    assert {name for name, _, _ in ROWS} >= WANTED
    assert len(set(ROWS)) == len(ROWS)
    assert [name for name, line, note in ROWS if not line and len(note) < 20] == []
    assert WANTED - {name for name, line, _ in ROWS if line} == REASONED


@pytest.mark.parametrize("line", LINES)
def test_a_line_builds(line: str, request: pytest.FixtureRequest) -> None:
    if "data.path=" in line or "data.download=" in line:
        request.getfixturevalue("small_files")
    program, command, *words = shlex.split(line)
    assert program == "dlexp"
    assert command in COMMANDS
    if command == "list":
        assert set(words) <= set(GROUPS)
    words = [word for word in words if "=" in word and not word.startswith(("-", "search"))]
    data = tuple(word for word in words if word.startswith(("data", "experiment")))
    words = [word.replace("=TEACHER", f"={trained_teacher()}") if "=TEACHER" in word else word for word in words]
    config = load([*words, "trainer.device=cpu"], CATALOG)
    experiment = assemble(config, bundle=data_of(data))
    assert experiment.num_parameters > 0
    assert prepare_training(experiment).steps_per_epoch > 0
