"""Items to predict: the files that a command line names, and batches of what is read.

Symbols: N items in order, G of them usable, B samples of a batch, T positions of a sequence.
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
from dlexp.data.paths import did_you_mean
from dlexp.errors import DataError
from dlexp.types import Sequences, as_tensor

ARRAYS = (".npy", ".npz")
_TEXTS = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json")
_PACKED = tuple(suffix + end for suffix in _TEXTS for end in (".gz", ".bz2", ".xz", ".zst", ".zip"))
TABLES = (*_TEXTS, *_PACKED, ".parquet", ".pq", ".feather", ".arrow", ".xlsx", ".xlsb", ".xls", ".ods")


@dataclass(frozen=True)
class InputItems:
    """Consecutive items of the input.

    names     column -> N values that identify the items
    problems  N texts: the reason why an item is not usable, "" if it is
    inputs    (G, *input_shape), or `Sequences`: inputs of the usable items, before normalization
    """

    names: dict[str, list[Any]]
    problems: list[str]
    inputs: Tensor | Sequences

    @property
    def tensor(self) -> Tensor:
        """The inputs where they are one tensor. Raises TypeError for sequences."""
        return as_tensor(self.inputs)

    def cut(self, good: int) -> tuple[InputItems, InputItems]:
        """(the items up to the usable item number `good`, the others)."""
        seen, place = 0, 0
        while seen < good:
            seen += not self.problems[place]
            place += 1
        first = {name: values[:place] for name, values in self.names.items()}
        rest = {name: values[place:] for name, values in self.names.items()}
        return (
            InputItems(first, self.problems[:place], _part(self.inputs, slice(None, good))),
            InputItems(rest, self.problems[place:], _part(self.inputs, slice(good, None))),
        )


def concatenate(parts: Sequence[InputItems]) -> InputItems:
    """The items of all `parts`, at least one, in order."""
    if len(parts) == 1:
        return parts[0]
    names = {name: [value for part in parts for value in part.names[name]] for name in parts[0].names}
    problems = [problem for part in parts for problem in part.problems]
    return InputItems(names, problems, joined_inputs([part.inputs for part in parts]))


def joined_inputs(parts: Sequence[Tensor | Sequences]) -> Tensor | Sequences:
    """The inputs of all `parts`, at least one, in order; sequences are padded to the longest of all."""
    tensors = [part for part in parts if isinstance(part, Tensor)]
    if len(tensors) == len(parts):
        return torch.cat(tensors)
    some = [part for part in parts if isinstance(part, Sequences)]
    longest = max(part.values.shape[1] for part in some)
    padded = [_padded(part.values, longest) for part in some]
    return Sequences(torch.cat(padded), torch.cat([part.lengths for part in some]))


def _padded(values: Tensor, length: int) -> Tensor:
    """(B, length, ...) of values (B, T, ...), with zeros behind them."""
    missing = values.new_zeros(len(values), length - values.shape[1], *values.shape[2:])
    return torch.cat([values, missing], dim=1)


def _part(inputs: Tensor | Sequences, where: slice) -> Tensor | Sequences:
    """Some of the inputs; sequences without padding that none of them needs."""
    if isinstance(inputs, Tensor):
        return inputs[where]
    lengths = inputs.lengths[where]
    longest = int(lengths.max()) if len(lengths) else 0
    return Sequences(inputs.values[where, :longest], lengths)


def in_batches(items: Iterable[InputItems], batch_size: int) -> Iterator[InputItems]:
    """`items` in groups of B = `batch_size` usable ones; an unusable item is in the group of the one before it.

    As in `batches.bounds`, a last batch of one sample joins the batch before it, so that prediction has the batches of
    an evaluation. Long stretches of unusable items form separate groups.
    """
    waiting: list[InputItems] = []
    enough = batch_size + (2 if batch_size > 1 else 1)  # for a batch, and for another one after it
    for part in items:
        waiting.append(part)
        good = sum(len(some.inputs) for some in waiting)
        if good < enough:
            if good == 0 and sum(len(some.problems) for some in waiting) > batch_size:
                yield concatenate(waiting)
                waiting.clear()
            continue
        whole = concatenate(waiting)
        while len(whole.inputs) >= enough:
            group, whole = whole.cut(batch_size)
            yield group
        waiting = [whole]
    if waiting:
        yield concatenate(waiting)


def files_of(arguments: Iterable[str], suffixes: tuple[str, ...] | None = None) -> tuple[list[str], list[str]]:
    """(files that the arguments of a command line name, in order; files in their folders with other suffixes).

    An argument is a file, a folder (all files in it with one of `suffixes`; None for images) or a pattern such as
    'new/*.png', with ** for subfolders. A missing file is included, for its reader to report.
    Raises DataError for a folder or pattern without such a file.
    """
    found: list[str] = []
    left_out: list[str] = []
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            files, others = files_below(path) if suffixes is None else files_below(path, suffixes)
            if not files:
                kinds = "an image suffix" if suffixes is None else f"the suffix {' or '.join(suffixes)}"
                raise DataError(f"no file with {kinds} found", file=path, code="not-found")
            found += files
            left_out += others
        elif not path.exists() and glob.has_magic(argument):
            matches = glob.glob(argument, recursive=True)  # noqa: PTH207 - a Path takes no pattern that begins with /
            files = sorted(name for name in matches if Path(name).is_file())
            if not files:
                raise DataError("no matching file found", file=argument, code="not-found")
            found += files
        else:
            found.append(argument)
    return found, left_out


def missing_file(path: Path) -> str:
    """The message for a missing file, with the most similar name in its folder."""
    advice = did_you_mean(path)
    return "file not found" + (f". {advice}" if advice else "")
