"""The data source `docstrings`: the docstrings of Python's standard library, each of the class of its package.

The sources are parsed and never imported. They differ between versions of Python, which the run records.
"""

from __future__ import annotations

import ast
import platform
import sysconfig
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle
from dlexp.data.splits.division import RowKeys, divide
from dlexp.data.texts.encoding import LabeledTexts, TextOptions, build_texts
from dlexp.data.texts.missing_text import BadText
from dlexp.errors import DataError
from dlexp.findings import counted

__all__ = ["docstrings"]

_LEFT_OUT = frozenset({"site-packages", "dist-packages", "test", "tests", "idle_test", "lib-dynload", "__pycache__"})
_HAVE_ONE = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def docstrings(
    *,
    min_texts: int = 100,
    unit: str = "word",
    vocabulary_size: int = 20_000,
    min_count: int = 2,
    lowercase: bool = True,
    max_length: int | str = "auto",
    on_bad: str = "skip",
    bucket: bool = True,
    val_fraction: float = 0.1,
    test_fraction: float = 0.2,
    split_seed: int = 0,
) -> DataBundle:
    """Load the docstrings of packages with at least `min_texts` of them; a text that occurs again is left out.

    Raises DataError for a Python without the sources of its library.
    """
    found = _all_docstrings()
    packages = {text: package for package, text in found}
    ambiguous = {text for package, text in found if packages[text] != package}
    unique = [(package, text) for text, package in packages.items() if text not in ambiguous]
    counts = Counter(package for package, _ in unique)
    classes = tuple(sorted(package for package, count in counts.items() if count >= min_texts))
    if len(classes) < 2:
        rule = (
            f"{counted(len(classes), 'package has', 'packages have')} {min_texts:,} docstrings or more, two are needed"
        )
        remedy = "Set data.min_texts=10" if min_texts > 10 else "Use a Python with the sources of its library."
        raise DataError(rule, file=_library(), remedy=remedy, code="too-few-samples")
    kept = [(classes.index(package), text) for package, text in unique if counts[package] >= min_texts]
    labels = np.array([label for label, _ in kept], dtype=np.int64)
    note = f"{counted(len(kept), 'docstring')} of Python {platform.python_version()}"
    note += f"; {len(found) - len(unique):,} that occur again, of {len(found):,} in all, are left out"
    bad = BadText(_library(), _refusal, _named)
    facts = {"source": "files", "text": [], "python": platform.python_version()}
    given = LabeledTexts([text for _, text in kept], labels, classes, (), bad, (note,), facts=facts)
    options = TextOptions(unit, vocabulary_size, min_count, lowercase, max_length, on_bad, bucket)
    rows = divide(len(kept), (val_fraction, test_fraction, split_seed), labels, classes, RowKeys()).rows
    return build_texts(given, rows, options)


def _library() -> Path:
    return Path(sysconfig.get_paths()["stdlib"])


@cache
def _all_docstrings() -> tuple[tuple[str, str], ...]:
    """(package, docstring) of every module, class and function, in the order of the files."""
    return tuple(_docstrings(_library()))


def _docstrings(root: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if _LEFT_OUT.intersection(parts) or parts[0].startswith("config-"):
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, OSError):  # of another Python, which nobody could import
            continue
        for node in ast.walk(tree):
            if isinstance(node, _HAVE_ONE) and (text := ast.get_docstring(node)):
                yield parts[0].removesuffix(".py"), text


def _refusal(message: str, number: int, remedy: str) -> DataError:
    return DataError(message, file=_library(), row=number, remedy=remedy, unit="docstring")


def _named(rows: NDArray[np.int64]) -> list[str]:
    return [f"docstring {row}" for row in rows.tolist()]
