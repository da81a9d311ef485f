"""BLEU (Post 2018) and chrF (Popovic 2015) of all texts of a split together, by sacrebleu; no torch.

Symbols: N texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlexp.metrics.bootstrap import Floats

OF_TEXTS = ("bleu", "chrf")


def corpus_metric(name: str) -> Any:
    """The metric of sacrebleu for a name of `OF_TEXTS`. Raises ImportError without the package."""
    # A third of a second, and only with the extra `text`.
    if name == "bleu":
        from sacrebleu.metrics.bleu import BLEU

        return BLEU()
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()


def text_influence(name: str, found: Sequence[str], true: Sequence[str]) -> Floats:
    """(N,) what each text does to the score of the corpus: numbers whose mean is the score, in [0, 100].

    Neither metric is a mean over texts. By the jackknife (Tukey 1958), the score without a text says what the text
    contributes, and the spread of these numbers is that of the score. They are centered: their mean is the score itself
    and not the jackknife's correction of it.

    Args:
        name: bleu or chrf.
        found: The N texts that were put out.
        true: The text that each should be.

    Raises:
        ImportError: sacrebleu is not installed.
    """
    metric = corpus_metric(name)
    # Sums over texts, from which sacrebleu computes the score; its own test of significance uses them in this way too.
    sums = np.asarray(metric._extract_corpus_statistics(list(found), [list(true)]), dtype=np.float64)
    total, count = sums.sum(axis=0), len(sums)
    whole = float(metric._compute_score_from_stats(total.tolist()).score)
    if count == 1:
        return np.array([whole])
    without = np.array([metric._compute_score_from_stats((total - own).tolist()).score for own in sums])
    return np.asarray(whole + (count - 1) * (without.mean() - without), dtype=np.float64)
