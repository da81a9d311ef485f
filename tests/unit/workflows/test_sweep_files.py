"""The sweep that a line continues: found among others, and refused where its cells.json is gone or damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from problems import refused

from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.sweep import Cell
from dlexp.errors import ConfigError
from dlexp.workflows.sweep.files import unfinished_twin, write_cells

WORDS = ("data=iris", "seed=0,1")


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    words = [("data=iris", f"seed={seed}") for seed in range(2)]
    return [Cell(own, (("seed", own[1][-1]),), load(own, Catalog())) for own in words]


def made(name: str, words: tuple[str, ...], cells: list[Cell], counts: dict[str, int]) -> Path:
    folder = Path("outputs/sweep") / name
    folder.mkdir(parents=True)
    write_cells(folder, words, cells)
    (folder / "sweep.json").write_text(json.dumps({"words": list(words), "counts": counts}))
    return folder


@pytest.mark.parametrize("damage", [None, b"", b"{", b"[]", b'{"words": 3}', b'{"words": ["data=iris", "seed=0,1"]}'])
def test_a_line_whose_sweep_has_lost_its_cells_is_refused(cells: list[Cell], damage: bytes | None) -> None:
    folder = made("own", WORDS, cells, {"finished": 1, "waiting": 1})
    assert unfinished_twin(WORDS, cells) == folder
    if damage is None:
        (folder / "cells.json").unlink()
    else:
        (folder / "cells.json").write_bytes(damage)
    with pytest.raises(ConfigError) as error:
        unfinished_twin(WORDS, cells)
    refused(error.value, "corrupted", str(folder / "cells.json"), str(folder.parent))
    (folder / "sweep.json").write_text(json.dumps({"words": list(WORDS), "counts": {"finished": 2}}))
    assert unfinished_twin(WORDS, cells) is None


def test_a_damaged_sweep_of_another_line_is_passed_over(cells: list[Cell]) -> None:
    folder = made("own", WORDS, cells, {"waiting": 2})
    for number, content in enumerate((b"", b"\xff", b"3")):
        other = made(f"other-{number}", ("data=iris", "seed=5,6"), cells, {"waiting": 2})
        (other / "cells.json").write_bytes(content)
        if number == 1:
            (other / "sweep.json").write_bytes(b"garbage")
    assert unfinished_twin(WORDS, cells) == folder
