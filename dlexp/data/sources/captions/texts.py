"""Texts of images as targets.

Symbols: N images with a text each, U tokens of the longest text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle
from dlexp.data.columns import Dense, Keyed
from dlexp.errors import ConfigError, DataError
from dlexp.sequence_specs import CaptionSpec
from dlexp.specs import DataSpec
from dlexp.text.vocabulary import SPECIAL, learn_vocabulary

_LONGEST = 77  # tokens of a text that are read with data.max_length=auto, as published


@dataclass(frozen=True)
class CaptionOptions:
    """How texts become tokens; the keys of data.* of the same names."""

    unit: str = "word"
    vocabulary_size: int = 20_000
    min_count: int = 1
    lowercase: bool = True
    max_length: int | str = "auto"
    prompts: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Raises ConfigError for a prompt without a place for the name of a class."""
        for prompt in self.prompts:
            if "{}" not in prompt:
                rule, remedy = "has no {} for the name of a class", "Write it such as data.prompts='[a photo of a {}]'"
                raise ConfigError.one("data.prompts", prompt, rule, remedy, code="invalid-value")


@dataclass(frozen=True)
class Captions:
    """The texts of images.

    texts   N texts
    images  (N,) int64, equal for texts of one image
    labels  (N,) int64 class numbers, -1 for none
    names   of the classes
    """

    texts: Sequence[str]
    images: NDArray[np.int64]
    labels: NDArray[np.int64]
    names: tuple[str, ...] = ()


def with_captions(bundle: DataBundle, given: Captions, options: CaptionOptions) -> DataBundle:
    """`bundle` of images, whose targets are their texts, with a vocabulary of the training split.

    Raises DataError where no token is left to learn, ConfigError where subwords need a package.
    """
    train = bundle.splits["train"].indices.tolist()
    vocabulary = _learned([given.texts[row] for row in train], options)
    ids = [vocabulary.encode(text) for text in given.texts]
    longest = options.max_length
    if not isinstance(longest, int):
        longest = min(_LONGEST, max(len(ids[row]) for row in train))
    spec = CaptionSpec(vocabulary, longest, given.names, tuple(options.prompts) if given.names else ())
    found = spec.encoded(given.texts)
    columns = {
        "values": found.values,
        "lengths": found.lengths.clamp(min=1),
        "image": torch.from_numpy(given.images),
        "label": torch.from_numpy(given.labels),
    }
    splits = {
        name: replace(split, targets=Keyed({key: Dense(value[split.indices]) for key, value in columns.items()}))
        for name, split in bundle.splits.items()
    }
    return replace(
        bundle,
        spec=DataSpec(bundle.spec.inputs, spec),
        splits=splits,
        fingerprint=_fingerprint(bundle.fingerprint, given),
        notes=(*bundle.notes, *_cut_note(ids, longest), *_equal_note([given.texts[row] for row in train])),
    )


def _learned(texts: Sequence[str], options: CaptionOptions) -> Any:
    try:
        found = learn_vocabulary(texts, options.unit, options.vocabulary_size, options.min_count, options.lowercase)
    except ImportError as error:
        rule, remedy = "requires the package tokenizers", "Install it: pip install 'dlexp[text]'"
        raise ConfigError.one("data.unit", options.unit, rule, remedy, code="missing-package") from error
    if len(found) > len(SPECIAL):
        return found
    rule = f"no {options.unit} occurs {options.min_count} times in the texts of the training split"
    raise DataError(rule, remedy="Set data.min_count=1", code="too-few-samples")


def _cut_note(ids: Sequence[Sequence[int]], longest: int) -> list[str]:
    cut = sum(len(one) > longest for one in ids)
    if not cut:
        return []
    remedy = f"To read all, set data.max_length={max(map(len, ids))}"
    return [f"{cut:,} of {len(ids):,} texts are cut after {longest} tokens. {remedy}"]


def _equal_note(texts: Sequence[str]) -> list[str]:
    """How many training texts are equal: no image can be told from another by them."""
    different = len(set(texts))
    if different == len(texts):
        return []
    return [
        f"{different:,} different texts among {len(texts):,} training pairs: pairs of equal texts are no negatives of "
        "each other"
    ]


def _fingerprint(images: str, given: Captions) -> str:
    digest = hashlib.sha256(f"{images}{given.names}".encode())
    for text in given.texts:
        data = text.encode(errors="surrogatepass")
        digest.update(b"%d " % len(data) + data)
    digest.update(given.images.tobytes() + given.labels.tobytes())
    return digest.hexdigest()
