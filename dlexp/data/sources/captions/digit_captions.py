"""scikit-learn's handwritten digits with texts that are made here: a small set for models of images and texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dlexp.data.bundle import DataBundle
from dlexp.data.columns import tensor_of
from dlexp.data.sources.captions.texts import CaptionOptions, Captions, with_captions
from dlexp.data.sources.sklearn_sets import digits

__all__ = ["digit_captions"]

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_FORMS = ("a {} handwritten {}", "the {} digit {}")
_THICK = 313  # sum of the pixels, of 0..16 each, from which a digit is called thick: the median of all


def digit_captions(
    *,
    val_fraction: float = 0.1,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    augment: str | Sequence[str | Mapping[str, Any]] = "none",
    pad: int = 1,
    prompts: Sequence[str] = (),
) -> DataBundle:
    """1,797 handwritten digits (1, 8, 8), each with a text such as `a thick handwritten three`: 40 different texts.

    Nobody wrote these texts: the number is the label, `thick` and `thin` are the amount of ink, and which of two forms
    an image has alternates with its number, so that no model can see it.

    prompts  texts of a class, in which {} stands for its name; () for the two that the texts have, thin and thick
    """
    found = digits(
        val_fraction=val_fraction, test_fraction=test_fraction, split_seed=split_seed, augment=augment, pad=pad
    )
    count = sum(found.sizes().values())
    texts, labels = [""] * count, np.zeros(count, dtype=np.int64)
    for split in found.splits.values():
        ink = tensor_of(split.inputs).long().flatten(1).sum(1).tolist()
        for row, total, label in zip(split.indices.tolist(), ink, tensor_of(split.targets).tolist(), strict=True):
            texts[row] = _FORMS[row % 2].format("thick" if total >= _THICK else "thin", WORDS[label])
            labels[row] = label
    usual = tuple(_FORMS[0].format(kind, "{}") for kind in ("thin", "thick"))
    options = CaptionOptions(prompts=tuple(prompts) or usual)
    made = with_captions(found, Captions(texts, np.arange(count), labels, WORDS), options)
    return replace(made, preprocessing={**made.preprocessing, "texts": "made by dlexp"})
