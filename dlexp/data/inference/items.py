"""Samples that somebody asks about: where they are, and how what is read becomes batches.

Symbols: N items as they come, G of them that can be used, B samples of a batch.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dlexp.data.images.listing import files_below
from dlexp.data.paths import near
from dlexp.errors import DataError

ARRAYS = (".npy", ".npz")
TABLES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet", ".pq")


@dataclass(frozen=True)
class Items:
    """Some items in the order in which they came.

    names     column -> N values that say which item it is
    problems  N texts: why the item cannot be used, "" where it can
    inputs    (G, *input_shape): of those that can, before normalisation
    """

    names: dict[str, list[Any]]
    problems: list[str]
    inputs: Tensor

    def cut(self, good: int) -> tuple[Items, Items]:
        """(the items up to the `good`-th that can be used, the others)."""
        seen, place = 0, 0
        while seen < good:
            seen += not self.problems[place]
            place += 1
        first = {name: values[:place] for name, values in self.names.items()}
        rest = {name: values[place:] for name, values in self.names.items()}
        return (
            Items(first, self.problems[:place], self.inputs[:good]),
            Items(rest, self.problems[place:], self.inputs[good:]),
        )


def joined(parts: Sequence[Items]) -> Items:
    """The items of all `parts`, at least one, in order."""
    if len(parts) == 1:
        return parts[0]
    names = {name: [value for part in parts for value in part.names[name]] for name in parts[0].names}
    problems = [problem for part in parts for problem in part.problems]
    return Items(names, problems, torch.cat([part.inputs for part in parts]))


def in_batches(items: Iterable[Items], batch_size: int) -> Iterator[Items]:
    """`items` in groups with B = `batch_size` that can be used; those that cannot go with the ones before them.

    As in `loaders.bounds` a last batch of one joins the batch before it, so that the same samples come in the same
    batches as an evaluation of them has. A group without any that can be used comes where there are very many.
    """
    waiting: list[Items] = []
    for part in items:
        waiting.append(part)
        good = sum(len(some.inputs) for some in waiting)
        if good < batch_size + 2:
            if good == 0 and sum(len(some.problems) for some in waiting) > batch_size:
                yield joined(waiting)
                waiting.clear()
            continue
        whole = joined(waiting)
        while len(whole.inputs) >= batch_size + 2:
            group, whole = whole.cut(batch_size)
            yield group
        waiting = [whole]
    if waiting:
        yield joined(waiting)


def files_of(words: Iterable[str], suffixes: tuple[str, ...] | None = None) -> tuple[list[str], list[str]]:
    """The files that words of a command line mean, in order, and those of folders that were left out.

    A word is a file, a folder (everything below it with one of `suffixes`; None for images) or a pattern such as
    'new/*.png', ** for folders below. A file that is not there is returned too: its reader says so.
    Raises DataError for a folder or a pattern without such a file.
    """
    found: list[str] = []
    left_out: list[str] = []
    for word in words:
        path = Path(word)
        if path.is_dir():
            files, others = files_below(path) if suffixes is None else files_below(path, suffixes)
            if not files:
                kinds = "an image" if suffixes is None else ", ".join(suffixes)
                raise DataError(f"has no file with the suffix of {kinds}", file=path, code="not-found")
            found += files
            left_out += others
        elif not path.exists() and glob.has_magic(word):
            matches = glob.glob(word, recursive=True)  # noqa: PTH207 - a Path takes no pattern that begins with /
            files = sorted(name for name in matches if Path(name).is_file())
            if not files:
                raise DataError("no file matches this pattern", file=word, code="not-found")
            found += files
        else:
            found.append(word)
    return found, left_out


def missing(path: Path) -> str:
    """Why a file cannot be read that is not there, with the nearest name beside it."""
    advice = near(path)
    return "there is no such file" + (f"; {advice}" if advice else "")
