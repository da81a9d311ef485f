"""Files whose header claims more than they hold, and weights that are no plain finite numbers: refused in words."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from refusals import refused
from torch import Tensor

from dlexp.cli.app import main
from dlexp.data.sources.array_files import open_arrays
from dlexp.data.sources.numpy_files import npy_array, npz_arrays
from dlexp.errors import DataError

PETABYTES = (10**13, 8, 8)


def run(*words: str, code: int = 0) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    assert (stopped.value.code or 0) == code


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int) -> str:
    """What the line says on standard error; it must end with `code`."""
    run(*words, code=code)
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return err


def header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def member(file: Path, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("x.npy", content)


def patched(file: Path, where: int, local: int | None, value: bytes) -> None:
    """Overwrite a field of the member's entry in the directory, and in its own header where there is a place."""
    raw = bytearray(file.read_bytes())
    entry = raw.rfind(b"PK\x01\x02") + where
    raw[entry : entry + len(value)] = value
    if local is not None:
        raw[local : local + len(value)] = value
    file.write_bytes(raw)


def lying_size(file: Path) -> None:
    member(file, header(PETABYTES))
    patched(file, 24, None, struct.pack("<I", 2**32 - 2))


def encrypted(file: Path) -> None:
    member(file, header((2, 2)) + bytes(16))
    patched(file, 8, 6, b"\x01")


def unknown_method(file: Path) -> None:
    member(file, header((2, 2)) + bytes(16))
    patched(file, 10, 8, struct.pack("<H", 77))


def damaged(file: Path) -> None:
    member(file, header((20, 20)) + np.random.default_rng(0).bytes(1600))
    raw = bytearray(file.read_bytes())
    raw[200:260] = bytes(60)
    file.write_bytes(raw)


# Name -> what makes the file, the code, and a value that the message shows.
NPZ: dict[str, tuple[Callable[[Path], Any], str, str]] = {
    "petabytes": (lambda f: member(f, header(PETABYTES) + bytes(100)), "invalid-data", "228 bytes"),
    "petabytes stored": (lambda f: member(f, header(PETABYTES), zipfile.ZIP_STORED), "invalid-data", " 0 bytes"),
    "petabytes by the directory too": (lying_size, "invalid-data", str(PETABYTES)),
    "gigabytes": (lambda f: member(f, header((10**9, 64))), "invalid-data", "(1000000000, 64)"),
    "more than a size can be": (lambda f: member(f, header((2**62, 8, 8))), "invalid-data", f"({2**62}, 8, 8)"),
    "negative": (lambda f: member(f, header((-5, 8))), "invalid-data", "(-5, 8)"),
    "cut": (lambda f: member(f, header((2000, 8)) + bytes(9)), "invalid-data", "64,000 bytes"),
    "no array": (lambda f: member(f, b"hello " * 9), "untrusted", ""),
    "objects": (lambda f: member(f, header((2,), "|O") + bytes(16)), "untrusted", ""),
    "encrypted": (encrypted, "invalid-data", "encrypted"),
    "unknown compression": (unknown_method, "invalid-data", "not supported"),
    "damaged": (damaged, "invalid-data", ""),
}


@pytest.mark.parametrize("name", NPZ)
def test_an_array_that_is_not_there_is_refused_before_memory_is_taken(name: str, tmp_path: Path) -> None:
    make, code, value = NPZ[name]
    file = tmp_path / "a.npz"
    make(file)
    with pytest.raises(DataError) as caught:
        npz_arrays(file)["x"]()
    for text in (str(file), "'x'", value):
        refused(caught.value, code, text)


@pytest.mark.parametrize("shape", [PETABYTES, (2**62, 8), (-5, 8), (20, 8)])
def test_a_npy_file_that_is_shorter_than_its_header_claims(shape: tuple[int, ...], tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    file.write_bytes(header(shape) + bytes(99))
    with pytest.raises(DataError) as caught:
        npy_array(file)
    refused(caught.value, "invalid-data", str(file))
    assert str(shape) in str(caught.value)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_whole_files_are_read_as_numpy_reads_them(save: Callable[..., None], tmp_path: Path) -> None:
    given = {
        "image": np.random.default_rng(0).normal(size=(5, 3, 4)),
        "fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        "empty": np.empty((0, 4), np.int8),
        "one": np.array(7),
        "zeros": np.zeros((300, 300)),  # deflated to a 900th
    }
    save(tmp_path / "a.npz", **given)
    for name, read in npz_arrays(tmp_path / "a.npz").items():
        np.testing.assert_array_equal(read(), given[name])
    np.save(tmp_path / "a.npy", given["fortran"])
    np.testing.assert_array_equal(npy_array(tmp_path / "a.npy"), given["fortran"])


TENSORS: dict[str, tuple[Tensor, str, str]] = {
    "repeated": (torch.zeros(1, 8).expand(10**13, 8), "invalid-data", "(10000000000000, 8)"),
    "repeated and narrow": (torch.zeros(1, 8, dtype=torch.bfloat16).expand(10**13, 8), "invalid-data", "x.clone()"),
    "sparse": (torch.eye(4).to_sparse(), "invalid-type", "sparse_coo"),
    "meta": (torch.zeros(4, 4, device="meta"), "invalid-type", "meta"),
    "complex": (torch.zeros(4, 4, dtype=torch.complex64).conj(), "invalid-type", "complex"),
}


@pytest.mark.parametrize("name", TENSORS)
def test_a_tensor_that_holds_no_plain_numbers_is_refused(name: str, tmp_path: Path) -> None:
    tensor, code, value = TENSORS[name]
    torch.save({"x": tensor}, tmp_path / "a.pt")
    with pytest.raises(DataError) as caught:
        open_arrays(tmp_path / "a.pt")["x"]()
    refused(caught.value, code, "'x'", value if value == "x.clone()" else "")
    assert value in str(caught.value)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of one epoch, and samples for it."""
    folder = tmp_path_factory.mktemp("claims")
    line = "train model=mlp model.hidden=[8] data=digits trainer.epochs=1 regularization=ema -q --run-dir"
    run(*line.split(), str(folder / "run"))
    np.save(folder / "x.npy", np.zeros((3, 8, 8), np.float32))
    return folder


def spoiled(trained: Path, folder: Path, change: Callable[[Tensor], Tensor]) -> Path:
    """A copy of the run whose checkpoints hold the first matrix changed, under hashes of their own."""
    copy = folder / "run"
    shutil.copytree(trained / "run", copy)
    hashes = {}
    for file in (copy / "checkpoints").glob("*.pt"):
        state = torch.load(file, weights_only=True)
        for group in state.keys() & {"networks", "eval_weights"}:
            state[group]["model.1.weight"] = change(state[group]["model.1.weight"])
        torch.save(state, file)
        hashes[file.name] = [hashlib.sha256(file.read_bytes()).hexdigest()]
    (copy / "checkpoints" / "hashes.json").write_text(json.dumps(hashes))
    return copy


def with_number(value: float) -> Callable[[Tensor], Tensor]:
    return lambda tensor: tensor.index_put((torch.tensor(0), torch.tensor(0)), torch.tensor(value, dtype=tensor.dtype))


WEIGHTS: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "nan": (with_number(float("nan")), "1 of 512"),
    "infinite": (with_number(float("-inf")), "1 of 512"),
    "infinite once it is narrow": (lambda t: with_number(1e300)(t.double()), "1 of 512"),
    "sparse": (Tensor.to_sparse, "sparse_coo"),
    "meta": (lambda t: t.to("meta"), "meta device"),
    "complex": (lambda t: t.to(torch.complex64), "complex64"),
    "integer": (Tensor.int, "int32"),
    "boolean": (Tensor.bool, "bool"),
    "of no size": (lambda t: t[:0], "model.1.weight (0, 64) for (8, 64)"),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_are_no_finite_numbers_are_refused_by_file_and_name(
    name: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, message = WEIGHTS[name]
    copy = str(spoiled(trained, tmp_path, change))
    for checkpoint in ("best", "last"):
        found = said(capsys, "predict", copy, str(trained / "x.npy"), "--checkpoint", checkpoint, code=1)
        assert message in found
        assert f"{checkpoint}.pt" in found
        assert "model.1.weight" in found


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("evaluate RUN", 1),
        ("export RUN --to safetensors", 1),
        ("adapt RUN data=digits", 1),
        ("train --resume RUN trainer.epochs=2", 1),
        ("train --dry-run init_from=RUN model=mlp model.hidden=[8]", 2),
        ("lr-find init_from=RUN model=mlp model.hidden=[8]", 2),
        ("summary init_from=RUN model=mlp model.hidden=[8]", 2),
    ],
)
def test_every_command_that_takes_weights_refuses_nan(
    line: str, code: int, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = spoiled(trained, tmp_path, with_number(float("nan")))
    output = said(capsys, *(word.replace("RUN", str(copy)) for word in line.split()), code=code)
    assert "model.1.weight" in output and "1 of 512" in output
    assert ".pt: " in output
    assert not list(copy.glob("e[vx]*"))  # neither an evaluation nor an export


def test_weights_of_another_precision_are_taken(trained: Path, tmp_path: Path) -> None:
    copy = spoiled(trained, tmp_path, Tensor.double)
    run("predict", str(copy), str(trained / "x.npy"), "--out", str(tmp_path / "out.csv"))
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 4
