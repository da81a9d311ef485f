"""Records of a study that are gone, empty, cut or damaged: refused by name, and nothing is written over."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from refusals import refused
from test_tune_study import FLAT, RULES

from dlexp.errors import ConfigError
from dlexp.tune.dashboard import _records
from dlexp.tune.storage.journal import Journal
from dlexp.tune.study import BaseConfig, Study


def opened(folder: Path, storage: str | None = None) -> Study:
    study = Study("s", storage, folder, RULES, FLAT)
    study.begin(BaseConfig({}, {}))
    return study


def run(study: Study, total: int) -> None:
    while (proposal := study.ask(total, {}, {})) is not None:
        study.complete(proposal.trial, 0.1 * proposal.trial.number)


def grown(folder: Path, storage: str | None = None, total: int = 4) -> Study:
    """A study of trials with their directories and trials.csv, as `dlexp tune` leaves it."""
    study = opened(folder, storage)
    run(study, total - 1)
    proposal = study.ask(total, {}, {})
    assert proposal is not None
    study.fail(proposal.trial, "oom")
    for trial in study.trials():
        (folder / "trials" / f"{trial.number:04d}").mkdir(parents=True, exist_ok=True)
    with (folder / "trials.csv").open("w", newline="") as file:
        rows = [[t.number, {"FAIL": "failed"}.get(t.state.name, t.state.name.lower()), t.value] for t in study.trials()]
        csv.writer(file).writerows([["trial", "state", "value"], *rows, [9, "running", ""]])
    (folder / "study.json").write_text("{}")
    return study


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def message(folder: Path, storage: str | None = None) -> str:
    """The message of the refusal of a study, with a check that nothing has changed but for lock files."""
    before = content(folder)
    with pytest.raises(ConfigError) as error:
        opened(folder, storage)
    after = {path: value for path, value in content(folder).items() if not path.endswith(".turn")}
    assert after == {path: value for path, value in before.items() if not path.endswith(".turn")}
    return str(error.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "out" / "s"
    found.mkdir(parents=True)
    return found


@pytest.mark.parametrize("storage", [None, "journal:kept.journal", "sqlite:///kept.db"])
@pytest.mark.parametrize("how", ["gone", "empty"])
def test_records_that_are_gone_or_empty_are_refused_where_there_are_results(
    folder: Path, storage: str | None, how: str
) -> None:
    grown(folder, storage)
    path = folder / "study.journal" if storage is None else Path(storage.rpartition("/")[2].rpartition(":")[2])
    assert path.is_file()
    path.unlink()
    if how == "empty":
        path.touch()
    error = message(folder, storage)
    assert error.startswith(f"{path}: ") and ("empty" in error) == (how == "empty")
    assert "(study.json, trials.csv, trials/)" in error
    assert f"mv {folder} {folder}-old-1" in error
    assert path.exists() == (how == "empty")
    folder.rename(f"{folder}-old-1")  # the remedy as it is told
    folder.mkdir()
    assert opened(folder, storage).num_finished() == 0


@pytest.mark.parametrize(
    ("before", "after"), [(None, "sqlite:///other.db"), ("sqlite:///kept.db", None), ("sqlite:///kept.db", "journal:o")]
)
def test_another_storage_than_that_of_the_results_is_refused(
    folder: Path, before: str | None, after: str | None
) -> None:
    grown(folder, before)
    error = message(folder, after)
    assert "--storage" in error
    assert not Path("other.db").exists()
    assert not Path("o").exists()


@pytest.mark.parametrize("signs", ["trials.csv", "trials"])
def test_records_that_were_cut_at_the_end_of_a_line_are_refused(folder: Path, signs: str) -> None:
    grown(folder)
    path = folder / "study.journal"
    lines = path.read_bytes().splitlines(keepends=True)
    if signs == "trials":
        (folder / "trials.csv").unlink()
    starts = [n for n, line in enumerate(lines) if json.loads(line)["op_code"] == 4]  # a trial is created
    path.write_bytes(b"".join(lines[: starts[-1]]))
    places = {"trials.csv": "trials.csv", "trials": f"{folder / 'trials' / '0003'}"}
    found = message(folder)
    assert "study.journal: " in found and "trial 3" in found and places[signs] in found
    ended = [n for n, line in enumerate(lines) if json.loads(line)["op_code"] == 6 and json.loads(line)["state"] != 0]
    path.write_bytes(b"".join(lines[: ended[-1]]))
    if signs == "trials.csv":
        assert "running, None" in message(folder) and "fail, None" in message(folder)
    path.write_bytes(b"".join(lines))
    assert opened(folder).num_finished() == 4


def test_a_kill_between_the_records_and_the_table_is_no_loss(folder: Path) -> None:
    grown(folder)
    run(opened(folder), 6)
    with (folder / "study.journal").open("ab") as file:
        file.write(b'{"op_code":5')  # and one in the middle of a record
    study = opened(folder)
    assert study.num_finished() == 6
    run(study, 7)
    assert opened(folder).num_finished() == 7


def test_any_changed_bit_of_a_journal_is_refused_with_its_line(folder: Path) -> None:
    grown(folder, total=2)
    path = folder / "study.journal"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for place in [*range(0, len(whole) - 1, 37), whole.index(b"crc"), whole.index(b'"state"') + 1]:
        for bit in (0, 3, 6):
            changed = bytearray(whole)
            changed[place] ^= 1 << bit
            path.write_bytes(changed)
            with pytest.raises(ConfigError) as error:
                Journal(path)
            refused(error.value, "corrupted", "study.journal, line ")
            number = whole[:place].count(b"\n") + 1
            places = [f"study.journal, line {n}: " for n in (number, number + 1)]  # a line break shifts the count
            assert any(line in str(error.value) for line in places), (place, bit, str(error.value))
            assert path.read_bytes() == bytes(changed)
    for cut in (
        lines[1:],
        [*lines[:3], *lines[4:]],
        [*lines[:2], lines[3], lines[2], *lines[4:]],
        [b"\0\xff\n", *lines],
    ):
        path.write_bytes(b"".join(cut))
        assert "--name" in message(folder)
        with pytest.raises(ConfigError) as error:
            _records(folder, None)
        refused(error.value, "corrupted", "study.journal, line ", "--name")


def test_records_of_another_program_are_read_and_guarded_by_those_that_follow(folder: Path) -> None:
    grown(folder, total=2)
    path = folder / "study.journal"
    foreign = b'{"op_code":2,"worker_id":"w","study_id":0,"user_attr":{"note":"mine"}}\n'
    with path.open("ab") as file:
        file.write(foreign)
    study = opened(folder)
    run(study, 3)
    assert opened(folder)._study.user_attrs["note"] == "mine"
    path.write_bytes(path.read_bytes().replace(b'"mine"', b'"mind"'))
    assert "checksum" in message(folder)


@pytest.mark.parametrize(
    "damage", [lambda data: data[: len(data) // 2], lambda data: b"garbage" * 999, lambda data: data[:99]]
)
def test_a_damaged_sqlite_file_is_refused_and_left_alone(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    grown(folder, "sqlite:///kept.db")
    broken = damage(Path("kept.db").read_bytes())
    Path("kept.db").write_bytes(broken)
    with pytest.raises(ConfigError) as error:
        opened(folder, "sqlite:///kept.db")
    refused(error.value, "corrupted", "--storage")
    assert error.value.problems[0].given == "kept.db"
    assert Path("kept.db").read_bytes() == broken


def test_a_dashboard_makes_no_storage_and_a_renamed_study_says_its_name(folder: Path) -> None:
    with pytest.raises(ConfigError) as error:
        _records(None, "sqlite:///typo.db")
    refused(error.value, "not-found", "--storage")
    assert not Path("typo.db").exists()
    grown(folder)
    other = folder.rename(folder.with_name("t"))
    with pytest.raises(ConfigError) as error:
        Study("t", None, other, RULES, FLAT)
    refused(error.value, "incompatible-run", "study.journal")
    assert "study t " in str(error.value) and "s)" in str(error.value)
    new = Study("new", None, folder.with_name("new"), RULES, FLAT)
    with pytest.raises(ConfigError) as error:
        new.begin(BaseConfig({}, {}), "t")
    refused(error.value, "corrupted", "--migrate")
    assert "study t " in str(error.value) and "s)" in str(error.value)
