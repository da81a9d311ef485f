"""The hash of the code of a package."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dlexp.runtime.machine import source_hash


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of two files, which can be imported."""
    folder = tmp_path / "some_package_to_hash"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "inner" / "module.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def test_the_hash_changes_with_a_file_and_comes_back_with_it(package: Path) -> None:
    first, file = source_hash(package.name), package / "inner" / "module.py"
    assert source_hash(package.name) == first
    file.write_text("x = 2\n")  # of the same length
    os.utime(file, ns=(1, 1))
    other = source_hash(package.name)
    file.write_text("x = 1\n")
    assert other != first == source_hash(package.name)


def test_the_hash_changes_with_the_name_of_a_file(package: Path) -> None:
    first = source_hash(package.name)
    (package / "inner" / "module.py").rename(package / "inner" / "other.py")
    assert source_hash(package.name) != first
