"""Recognition of split names, such as train, Training, VALID, dev, x_test, and of folders that are splits."""

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
# A word of `_WORDS` within a name: seg_train, TrainImages, testset, val2017.
_LONGEST_FIRST = "|".join(sorted(_SPLIT_OF, key=len, reverse=True))
_PART = re.compile(rf"(?<![a-z])({_LONGEST_FIRST})(?=$|[^a-z]|set|data|images|imgs)")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")  # start of a word in camel case: trainImages


def standard_split(name: str) -> str:
    """`train`, `val` or `test` for one of its usual names in any case, "" for other names."""
    return _SPLIT_OF.get(name.strip().casefold(), "")


def parts_of(names: Iterable[str], where: str | Path) -> dict[str, str]:
    """Split -> the one of `names` for it. Raises DataError if there are two."""
    found: dict[str, str] = {}
    for name in names:
        split = standard_split(name)
        if split in found:
            rule = f"has {found[split]} and {name}, which name the same split"
            raise DataError(rule, file=where, remedy="Rename or remove one of them.")
        if split:
            found[split] = name
    return found


def lookalikes(names: Sequence[str]) -> list[str]:
    """Those of `names` that look like splits; [] if they look like classes.

    They look like splits if two of them differ only in the split (seg_train and seg_test), or if all of them name a
    split, and not all the same.
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
    """Split -> its folder in `root`; {} if the folders are classes.

    folders     folder in `root` -> its subfolders
    has_images  returns whether a folder or its subfolders have images
    Raises DataError for folders that may be either, and for splits without class folders.
    """
    splits = [name for name in folders if standard_split(name)]
    if any(folders[name] for name in splits):
        others = [name for name in folders if name not in splits and has_images(root / name)]
        if others:
            rule = f"has the {_listed('split', splits)}, but also the {_listed('folder', others)}"
            remedy = f"Move {others[0]!r} elsewhere, or rename {splits[0]!r} if it is a class."
            raise DataError(rule, file=root, remedy=remedy)
        found = parts_of(splits, root)
        if "train" not in found:
            rule = f"has the {_listed('split', splits)} but no folder with training images"
            raise DataError(rule, file=root, remedy="Add a folder train with one folder per class.", code="not-found")
        return found
    if lookalikes([name for name in folders if _PART.search(_spaced(name))]) and (
        similar := lookalikes([name for name in folders if has_images(root / name)])
    ):
        rule = f"has the {_listed('folder', similar)}, which look like splits and would be read as classes"
        remedy = "Name them train, val and test, each with one folder per class; rename them if they are classes."
        raise DataError(rule, file=root, remedy=remedy)
    for name, inner in folders.items():
        if len(folders) > 1 and len({standard_split(folder) for folder in inner} - {""}) > 1:
            found_in = _listed("split", [folder for folder in inner if standard_split(folder)])
            rule = f"has the {found_in} within a class, whose images would be mixed"
            first = root / next(folder for folder in inner if standard_split(folder)) / name
            raise DataError(rule, file=root / name, remedy=f"Put the class folders into the splits, as in {first}")
    return {}


def _listed(what: str, names: Sequence[str]) -> str:
    """`split 'a'` or `splits 'a', 'b' and 'c'`, with at most five names."""
    shown = [repr(name) for name in names[:5]]
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    if len(shown) > 1 and not more:
        shown = [*shown[:-2], f"{shown[-2]} and {shown[-1]}"]
    return f"{what}{'' if len(names) == 1 else 's'} {', '.join(shown)}{more}"
