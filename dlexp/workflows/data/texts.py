"""The checks of texts in `dlexp data check`.

Symbols: N texts of all splits, K classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dlexp.data.bundle import SPLITS, DataBundle
from dlexp.data.checks import duplicates
from dlexp.data.checks import texts as checked_texts
from dlexp.data.columns import tensor_of
from dlexp.findings import Finding
from dlexp.report.figures.panel import Panel
from dlexp.sequence_specs import TokenSpec
from dlexp.specs import ClassSpec
from dlexp.text.vocabulary import PLURALS, Vocabulary

_MOST_BARS = 12  # most frequent tokens that are drawn

_Texts = Callable[[NDArray[np.int64]], list[str]]


def text_findings(
    bundle: DataBundle, texts: _Texts, who: duplicates.Samples, targets: NDArray[np.generic] | None
) -> tuple[list[Finding], list[Panel]]:
    """The findings of texts, and the panels of lengths and of frequent tokens.

    targets  (N,) class numbers or (N, O) values of all splits; None for others
    """
    spec = bundle.spec.inputs
    assert isinstance(spec, TokenSpec) and spec.vocabulary is not None
    vocabulary, rows = spec.vocabulary, [bundle.splits[name].indices.numpy() for name in SPLITS]
    whole = texts(np.concatenate(rows))
    ids = [np.array(vocabulary.encode(text), dtype=np.int64) for text in whole]
    lengths = np.array([len(one) for one in ids], dtype=np.int64)
    plural = PLURALS[vocabulary.unit]
    found = checked_texts.unknown_tokens(_unknown_shares(ids, who.part), plural)
    found += checked_texts.cut_off(lengths, spec.max_length, who.named(np.flatnonzero(lengths > spec.max_length)))
    keys = np.unique(np.array(whole, dtype=object).astype(str), return_inverse=True)[1]
    groups = duplicates.equal_groups(keys)
    found += duplicates.duplicates(groups, who, False, "", noun="text")
    is_class = isinstance(bundle.spec.targets, ClassSpec)
    if targets is not None:
        found += duplicates.conflicts(groups, targets, who, is_class)
    if isinstance(bundle.spec.targets, ClassSpec):
        found += _giveaways(bundle, bundle.spec.targets, ids[: len(rows[0])], vocabulary)
    counts = np.bincount(np.concatenate(ids), minlength=len(vocabulary))
    frequent = [n for n in (-counts).argsort(kind="stable").tolist() if counts[n]][:_MOST_BARS]
    names = tuple(repr(vocabulary.tokens[n]).strip("'") for n in frequent)
    panels = [
        Panel.of(f"{plural} of a text", lengths.astype(np.float64)),
        Panel(f"most frequent {plural}", np.empty(0), counts[frequent], plural, plural, names),
    ]
    return found, panels


def _unknown_shares(ids: list[NDArray[np.int64]], part: NDArray[np.int64]) -> dict[str, float]:
    found = {}
    for number, name in enumerate(SPLITS):
        some = np.concatenate([ids[n] for n in np.flatnonzero(part == number).tolist()])
        found[name] = float((some == 0).mean()) if len(some) else 0.0
    return found


def _giveaways(
    bundle: DataBundle, classes: ClassSpec, ids: list[NDArray[np.int64]], vocabulary: Vocabulary
) -> list[Finding]:
    labels = tensor_of(bundle.splits["train"].targets).tolist()
    counts = np.bincount(labels, minlength=len(classes.names))
    if vocabulary.unit != "word":  # of parts of words most texts have the same
        return []
    seen: Counter[tuple[int, int]] = Counter()
    for label, one in zip(labels, ids, strict=True):
        seen.update((token, label) for token in np.unique(one).tolist())
    frequent = {token for (token, label), count in seen.items() if token and count >= counts[label] // 2}
    has = {
        vocabulary.tokens[token]: np.array([seen[token, label] for label in range(len(classes.names))])
        for token in sorted(frequent)
    }
    return checked_texts.giveaways(has, counts, classes.names)
