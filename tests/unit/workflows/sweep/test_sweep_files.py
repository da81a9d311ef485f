"""The sweep that a line continues: found among others, and refused where its jobs.json is gone or damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from refusals import refused

from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.sweep import SweepJob
from dlexp.errors import ConfigError
from dlexp.workflows.sweep.files import unfinished_twin, write_jobs

WORDS = ("data=iris", "seed=0,1")


@pytest.fixture(scope="module")
def jobs() -> list[SweepJob]:
    words = [("data=iris", f"seed={seed}") for seed in range(2)]
    return [SweepJob(own, (("seed", own[1][-1]),), load(own, Catalog())) for own in words]


def made(name: str, words: tuple[str, ...], jobs: list[SweepJob], counts: dict[str, int]) -> Path:
    folder = Path("outputs/sweep") / name
    folder.mkdir(parents=True)
    write_jobs(folder, words, jobs)
    (folder / "sweep.json").write_text(json.dumps({"overrides": list(words), "counts": counts}))
    return folder


@pytest.mark.parametrize("damage", [None, b"", b"{", b"[]", b'{"overrides": 3}', b'{"overrides": ["data=iris"]}'])
def test_a_line_whose_sweep_has_lost_its_cells_is_refused(jobs: list[SweepJob], damage: bytes | None) -> None:
    folder = made("own", WORDS, jobs, {"finished": 1, "waiting": 1})
    assert unfinished_twin(WORDS, jobs) == folder
    if damage is None:
        (folder / "jobs.json").unlink()
    else:
        (folder / "jobs.json").write_bytes(damage)
    with pytest.raises(ConfigError) as error:
        unfinished_twin(WORDS, jobs)
    refused(error.value, "corrupted", str(folder / "jobs.json"), str(folder.parent))
    (folder / "sweep.json").write_text(json.dumps({"overrides": list(WORDS), "counts": {"finished": 2}}))
    assert unfinished_twin(WORDS, jobs) is None


def test_a_damaged_sweep_of_another_line_is_passed_over(jobs: list[SweepJob]) -> None:
    folder = made("own", WORDS, jobs, {"waiting": 2})
    for number, content in enumerate((b"", b"\xff", b"3")):
        other = made(f"other-{number}", ("data=iris", "seed=5,6"), jobs, {"waiting": 2})
        (other / "jobs.json").write_bytes(content)
        if number == 1:
            (other / "sweep.json").write_bytes(b"garbage")
    assert unfinished_twin(WORDS, jobs) == folder
