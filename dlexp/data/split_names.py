"""Names of splits as people write them: train, Training, VALID, dev, x_test; and folders that are splits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from dlexp.errors import DataError

_WORDS = {
    "train": ("train", "training", "trn"),
    "val": ("val", "valid", "validation", "validate", "dev", "devel", "development", "eval", "evaluation"),
    "test": ("test", "testing", "tst"),
}
_SPLIT_OF = {word: split for split, words in _WORDS.items() for word in words}
# A word of `_WORDS` as a part of a name: seg_train, TrainImages, testset, val2017.
_LONGEST_FIRST = "|".join(sorted(_SPLIT_OF, key=len, reverse=True))
_PART = re.compile(rf"(?<![a-z])({_LONGEST_FIRST})(?=$|[^a-z]|set|data|images|imgs)")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")  # where a new word begins in trainImages


def split_of(name: str) -> str:
    """`train`, `val` or `test` for a name that is one of their usual words in any letter case, "" for another name."""
    return _SPLIT_OF.get(name.strip().casefold(), "")


def parts_of(names: Iterable[str], where: str | Path) -> dict[str, str]:
    """Split -> the one of `names` that means it. Raises DataError where two mean the same split."""
    found: dict[str, str] = {}
    for name in names:
        split = split_of(name)
        if split in found:
            rule = f"has {found[split]} and {name}, which are the same split"
            raise DataError(rule, file=where, remedy="leave one, or name one of them train, val or test")
        if split:
            found[split] = name
    return found


def lookalikes(names: Sequence[str]) -> list[str]:
    """Those of `names` that together look like splits; [] where they look like classes.

    They do where two of them differ only in the split that they name (seg_train and seg_test), and where all of them
    name a split and not all the same.
    """
    named: dict[str, list[tuple[str, str]]] = {}
    for name in names:
        spaced = _spaced(name)
        if part := _PART.search(spaced):
            rest = spaced[: part.start()] + spaced[part.end() :]
            named.setdefault(rest, []).append((_SPLIT_OF[part[1]], name))
    groups = [group for group in named.values() if len({split for split, _ in group}) > 1]
    everything = [pair for group in named.values() for pair in group]
    if len(everything) == len(names) and len({split for split, _ in everything}) > 1:
        groups = [everything]
    return sorted({name for group in groups for _, name in group})


def _spaced(name: str) -> str:
    return _HUMP.sub(" ", name).casefold()


def split_folders(
    root: Path, folders: Mapping[str, Sequence[str]], has_images: Callable[[Path], bool]
) -> dict[str, str]:
    """Split -> the folder in `root` that is it; {} where the folders are classes.

    folders     each folder in `root`, and the folders in it
    has_images  whether there is an image below a folder
    Raises DataError for folders that may be either, and for splits that hold no folder for each class.
    """
    splits = [name for name in folders if split_of(name)]
    if any(folders[name] for name in splits):
        others = [name for name in folders if name not in splits and has_images(root / name)]
        if others:
            rule = f"has the {_listed('split', splits)} and beside them the {_listed('folder', others)}"
            remedy = f"move {others[0]!r} elsewhere, or rename {splits[0]!r} if it is the name of a class"
            raise DataError(rule, file=root, remedy=remedy)
        found = parts_of(splits, root)
        if "train" not in found:
            rule = f"has the {_listed('split', splits)} and no folder of training images"
            raise DataError(rule, file=root, remedy="add a folder train with a folder for each class", code="not-found")
        return found
    if lookalikes([name for name in folders if _PART.search(_spaced(name))]) and (
        alike := lookalikes([name for name in folders if has_images(root / name)])
    ):
        rule = f"has the {_listed('folder', alike)}, which look like splits and would be taken for classes"
        remedy = "name them train, val and test, each with a folder for each class in it"
        raise DataError(rule, file=root, remedy=f"{remedy}; if they are classes, rename them")
    for name, inner in folders.items():
        if len(folders) > 1 and len({split_of(folder) for folder in inner} - {""}) > 1:
            found_in = _listed("split", [folder for folder in inner if split_of(folder)])
            rule = f"holds the {found_in} within a class, whose images would be mixed"
            first = root / next(folder for folder in inner if split_of(folder)) / name
            raise DataError(rule, file=root / name, remedy=f"put the splits above the classes, as in {first}")
    return {}


def _listed(what: str, names: Sequence[str]) -> str:
    """`split 'a'`, `splits 'a', 'b' and 'c'`; the first five."""
    shown = [repr(name) for name in names[:5]]
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    if len(shown) > 1 and not more:
        shown = [*shown[:-2], f"{shown[-2]} and {shown[-1]}"]
    return f"{what}{'' if len(names) == 1 else 's'} {', '.join(shown)}{more}"
