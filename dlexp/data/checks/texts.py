"""Checks of texts: unusable ones, unknown tokens, ends that are cut off, tokens that give the class away.

Symbols: N texts of a split, V tokens of the vocabulary, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dlexp.findings import Finding, Severity, counted, finding
from dlexp.text.quoting import setting

_NOTED, _MANY = 0.01, 0.1  # share of unknown tokens in a held-out split, and of tokens that are cut off
_ALWAYS, _NEVER = 0.95, 0.02  # shares of the texts of a class, and of the others, with a token that gives it away
_FEW = 10  # texts of a class from which such shares mean something


def unusable(damaged: Sequence[str], others: Sequence[str], may_skip: bool) -> list[Finding]:
    """Findings for texts that are empty or have no known token, and for files that are no texts of a class.

    damaged   the texts, each with its reason
    may_skip  whether training leaves them out (data.on_bad=skip) instead of failing
    """
    found = []
    if damaged:
        what = counted(len(damaged), "text is empty or has", "texts are empty or have") + " no known token"
        remedy = "Correct or delete them" + ("." if may_skip else ", or set data.on_bad=skip")
        found.append(finding("warning" if may_skip else "error", "unusable texts", what, damaged, remedy))
    if others:
        what = f"{counted(len(others), 'file is', 'files are')} no text file of a class folder"
        found.append(finding("note", "other files", what, others))
    return found


def unknown_tokens(shares: Mapping[str, float], plural: str) -> list[Finding]:
    """A finding for unknown tokens.

    shares  split -> share of its tokens that the vocabulary does not have, in [0, 1]
    plural  of the unit
    """
    largest = max(shares.values())
    if largest < _NOTED:
        return []
    severity: Severity = "warning" if largest >= _MANY else "note"
    where = [f"{name}: {100 * share:.1f} %" for name, share in shares.items()]
    what = f"up to {100 * largest:.1f} % of the {plural} of a split are none that the vocabulary has"
    remedy = "data.unit=subword" if plural == "words" else "data.min_count=1"
    return [finding(severity, "unknown tokens", what, where, remedy)]


def cut_off(lengths: NDArray[np.int64], longest: int, names: Sequence[str]) -> list[Finding]:
    """A finding for texts whose end is not read.

    lengths  (N,) tokens of each text
    longest  tokens that are read
    names    of the texts that are longer
    """
    cut = lengths[lengths > longest]
    if not len(cut):
        return []
    share = float((cut - longest).sum() / lengths.sum())
    severity: Severity = "warning" if share >= _MANY else "note"
    what = counted(len(cut), "text is", "texts are")
    what += f" longer than {longest:,} tokens: {100 * share:.1f} % of all tokens are not read"
    return [finding(severity, "cut off", what, names, setting("data.max_length", int(cut.max())))]


def giveaways(has: Mapping[str, NDArray[np.int64]], counts: NDArray[np.int64], names: Sequence[str]) -> list[Finding]:
    """A finding for tokens that nearly all texts of one class have and nearly none of the others.

    has     token -> (K,) training texts of each class that have it
    counts  (K,) training texts of each class
    names   of the classes
    """
    where = []
    for token, each in has.items():
        inside = each / np.maximum(counts, 1)
        others = (each.sum() - each) / np.maximum(counts.sum() - counts, 1)
        for number in np.flatnonzero((inside >= _ALWAYS) & (others <= _NEVER) & (counts >= _FEW)).tolist():
            where.append(
                f"{token!r}: {inside[number]:.0%} of class {names[number]}, {others[number]:.1%} of the others"
            )
    if not where:
        return []
    what = counted(len(where), "token gives", "tokens give")
    what += " a class away and may be a trace of how texts were collected"
    return [finding("warning", "leak", what, where, "Remove them from the texts if new texts do not have them.")]
