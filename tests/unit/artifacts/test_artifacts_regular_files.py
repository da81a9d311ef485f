"""Regular files alone are read: a pipe that has no writer, a device and a folder are refused, and never block."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from refusals import refused

from dlexp.artifacts.checkpoints.checkpoint import read_checkpoint
from dlexp.artifacts.files.reading import is_file, is_folder, is_there, open_regular, open_stream, read_bytes, read_text
from dlexp.artifacts.files.writing import read_json
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.config.files.catalog import Catalog
from dlexp.config.files.yaml_files import read_yaml
from dlexp.data.images.decoding import read_image
from dlexp.data.images.listing import quick_scan
from dlexp.data.paths import check_file
from dlexp.data.sources.array_files import open_arrays
from dlexp.data.tables.files.reading import open_table
from dlexp.data.tables.files.table_form import FormSettings
from dlexp.data.tables.spelling import Marks
from dlexp.errors import ConfigError, DataError, DlexpError


@pytest.fixture(autouse=True)
def never_blocks() -> Iterator[None]:
    """Whatever opens a pipe in vain is ended by an alarm, and its test fails."""

    def alarm(number: int, frame: object) -> None:
        raise AssertionError("blocked on a pipe that has no writer")

    before = signal.signal(signal.SIGALRM, alarm)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(params=["pipe", "device"])
def endless(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Something that blocks whoever opens it, or never ends."""
    path = tmp_path / "endless.csv"
    if request.param == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    return path


def test_every_reader_refuses_a_pipe_and_a_device(endless: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"named pipe|device"):
        open_regular(endless)
    with pytest.raises(DlexpError) as caught:
        read_json(endless)
    refused(caught.value, "system-error", str(endless))
    with pytest.raises(DlexpError) as caught:
        read_checkpoint(endless)
    refused(caught.value, "system-error", str(endless))
    with pytest.raises(ConfigError, match=endless.name):
        read_yaml(endless)
    with pytest.raises(DataError) as caught:
        check_file(endless)
    refused(caught.value, "system-error", str(endless))
    with pytest.raises(DataError) as caught:
        open_arrays(endless)
    refused(caught.value, "system-error", str(endless))
    with pytest.raises(DataError) as caught, open_table(str(endless), FormSettings(), Marks(())):
        pass
    refused(caught.value, "system-error", str(endless), "INPUT -")
    with pytest.raises(OSError, match=r"named pipe|device"):
        read_image(str(endless), 1, 8, "crop")
    assert re.search(r"named pipe|device", quick_scan(tmp_path, os.fsencode(endless.name)).problem)


def test_pipe_among_the_options_of_a_group_is_listed_and_refused_when_it_is_chosen(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    os.mkfifo(tmp_path / "model" / "odd.yaml")
    catalog = Catalog((tmp_path,))
    assert catalog.options("model")["odd"].description == ""
    with pytest.raises(ConfigError, match="named pipe"):
        catalog.keys("model", "odd")


def test_pipe_in_place_of_the_lock_and_of_the_status_is_told(tmp_path: Path) -> None:
    for name in (".lock", "status.json"):
        os.mkfifo(tmp_path / name)
    run = RunDir(tmp_path)
    assert not run.is_locked()
    with pytest.raises(DlexpError) as caught:
        run.status()
    refused(caught.value, "system-error", "status.json")
    assert "named pipe" in str(caught.value)
    with pytest.raises(DlexpError) as caught, run.lock():
        pass
    refused(caught.value, "system-error", str(tmp_path))


def test_size_is_bounded_before_anything_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(1 << 43)  # a hole: it takes no room on the disk
    with pytest.raises(OSError, match="memory"):
        read_bytes(path)
    with pytest.raises(DlexpError) as caught:
        read_json(path)
    refused(caught.value, "system-error", path.name)
    assert "8,796,093,022,208 bytes" in str(caught.value) and "268,435,456" in str(caught.value)
    path.write_bytes(b"12345678")
    assert read_bytes(path, 8) == b"12345678"
    with pytest.raises(OSError, match=r"8 bytes.* 7\b"):
        read_bytes(path, 7)


def test_names_list_may_come_from_a_pipe_that_has_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "names")
    with open_stream(tmp_path / "names") as file:
        assert file.read() == b""  # without a writer it is empty, and nothing waits
    writer = os.open(tmp_path / "names", os.O_RDWR)
    os.write(writer, b"a.png\n")
    with open_stream(tmp_path / "names") as file:
        assert file.readline() == b"a.png\n"
    os.close(writer)


def test_line_breaks_are_those_of_a_text_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one\r\ntwo\rthree\n")
    assert read_text(tmp_path / "a") == (tmp_path / "a").read_text() == "one\ntwo\nthree\n"


def test_folder_that_may_not_be_looked_into_is_neither_missing_nor_an_error(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "a").touch()
    (tmp_path / "closed").chmod(0)
    own = os.geteuid()
    try:
        if own == 0:
            tmp_path.chmod(0o755)
            os.seteuid(65534)
        path = tmp_path / "closed" / "a"
        assert (is_there(path), is_file(path), is_folder(path)) == (True, False, False)
        with pytest.raises(ConfigError) as caught:
            RunDir.find(tmp_path / "closed")
        refused(caught.value, "system-error", "closed")
    finally:
        os.seteuid(own)
        (tmp_path / "closed").chmod(0o755)
    assert not is_there(tmp_path / "a" / "b")


class Own:
    """A class that a pickle would have to import."""


@pytest.mark.parametrize("kind", ["pt", "npy", "npz", "checkpoint", "garbage"])
def test_no_refusal_repeats_the_advice_to_load_unsafely(tmp_path: Path, kind: str) -> None:
    path = tmp_path / {"pt": "a.pt", "npz": "a.npz", "npy": "a.npy", "checkpoint": "b.pt", "garbage": "c.npy"}[kind]
    if kind in ("pt", "checkpoint"):
        torch.save({"networks": Own()}, path)
    elif kind == "npz":
        np.savez(path, x=np.array([{}], dtype=object))
    elif kind == "npy":
        np.save(path, np.array([{}], dtype=object))
    else:
        path.write_bytes(b"\x80\x04not an array")
    from dlexp.data.inference.arrays import _arrays

    with pytest.raises(DlexpError) as caught:
        if kind == "checkpoint":
            read_checkpoint(path)
        elif kind == "pt":
            open_arrays(path)
        elif kind == "npz":
            open_arrays(path)["x"]()
        else:
            _arrays(str(path))
    refused(caught.value, "untrusted", path.name)
    text = str(caught.value)
    assert not any(word in text for word in ("weights_only", "allow_pickle", "trust", "pickle.load"))
