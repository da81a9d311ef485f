from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from refusals import refused

from dlexp.artifacts.files.writing import (
    append_text,
    read_json,
    remove_temporaries,
    write_bytes,
    write_csv,
    write_json,
    write_text,
)
from dlexp.errors import DlexpError

FULL_DISK = """
import resource, sys
from pathlib import Path
from dlexp.artifacts.files.writing import append_text, write_bytes
from dlexp.errors import DlexpError
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
path = Path("file.bin")
try:
    append_text(path, "x" * 5000) if sys.argv[1] == "append" else write_bytes(path, bytes(5000))
except DlexpError as error:
    print(error)
"""


def test_a_file_is_written_whole_with_its_folders_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.bin"
    write_bytes(path, b"one")
    write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_when_the_rename_fails_the_temporary_file_is_removed(tmp_path: Path) -> None:
    target = tmp_path / "taken"
    (target / "inside").mkdir(parents=True)
    with pytest.raises(DlexpError) as caught:
        write_bytes(target, b"abc")
    refused(caught.value, "system-error", "taken")
    assert "3 bytes" in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["taken"]


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DlexpError) as caught:
        write_bytes(tmp_path / "file" / "report.json", b"{}")
    refused(caught.value, "invalid-type", "file is a file")


def test_a_name_that_is_too_long_is_told_like_any_other_failure(tmp_path: Path) -> None:
    with pytest.raises(DlexpError) as caught:
        write_bytes(tmp_path / ("n" * 300), b"")
    refused(caught.value, "system-error", "File name too long")


def limited(words: str) -> str:
    """What a process says that may write no more than 1000 bytes into one file."""
    done = subprocess.run([sys.executable, "-c", FULL_DISK, words], capture_output=True, text=True, check=True)
    return done.stdout


def test_a_full_disk_names_file_and_bytes_and_leaves_the_old_content(tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(b"old")
    assert limited("replace") == "cannot write file.bin (5000 bytes): File too large\n"
    assert (tmp_path / "file.bin").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file.bin"]


def test_a_full_disk_is_told_when_appending_too(tmp_path: Path) -> None:
    assert limited("append") == "cannot write file.bin (5000 more bytes): File too large\n"


def test_appending_to_a_full_device_is_an_error() -> None:
    with pytest.raises(DlexpError) as caught:
        append_text(Path("/dev/full"), "line")
    refused(caught.value, "system-error", "/dev/full")
    assert "4 more bytes" in str(caught.value) and "No space left on device" in str(caught.value)


def test_json_has_null_where_numbers_are_not_finite(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    value = {"a": float("nan"), "b": [1.5, float("inf"), (float("-inf"), 2)], 3: np.float64("nan"), "t": True}
    write_json(path, value)
    assert json.loads(path.read_text()) == {"a": None, "b": [1.5, None, [None, 2]], "3": None, "t": True}
    assert read_json(path) == json.loads(path.read_text())


def test_json_that_cannot_be_read_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"a": ')
    for name in ("bad.json", "missing.json"):
        with pytest.raises(DlexpError) as caught:
            read_json(tmp_path / name)
        refused(caught.value, "corrupted" if name == "bad.json" else "system-error", name)


def test_csv_keeps_every_digit_and_quotes_what_needs_it(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    rows = [[1 / 3, "a,b", None], [float("nan"), 'say "hi"', "two\nlines"]]
    write_csv(path, ["x", "name", "empty"], rows)
    with path.open(newline="") as file:
        header, first, second = csv.reader(file)
    assert header == ["x", "name", "empty"]
    assert float(first[0]) == 1 / 3
    assert first[1:] == ["a,b", ""]
    assert second == ["nan", 'say "hi"', "two\nlines"]


def test_text_is_utf_8(tmp_path: Path) -> None:
    write_text(tmp_path / "t", "µ\n")
    append_text(tmp_path / "t", "é\n")
    assert (tmp_path / "t").read_bytes() == "µ\né\n".encode()


def test_only_temporaries_are_removed_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in (".tmp-1-a", "deep/.tmp-2-b", "deep/kept", ".lock"):
        (tmp_path / name).touch()
    remove_temporaries(tmp_path)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert left == [".lock", "deep/kept"]
