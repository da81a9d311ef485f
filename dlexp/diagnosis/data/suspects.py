"""Data without the samples whose class is probably wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from dlexp.data.bundle import DataBundle
from dlexp.data.columns import tensor_of
from dlexp.diagnosis.data.label_measures import label_measures
from dlexp.findings import counted

_MOST = {"train": 30_000, "val": 5_000}  # samples that are looked at; seconds, and some hundred megabytes


def without_suspected_labels(bundle: DataBundle, seed: int) -> DataBundle:
    """The same data without training samples whose class is probably wrong, and with a note of how many these are.

    Validation and test split stay as they are, and so does a class of which all samples are suspects. Of more than
    30,000 training samples as many are looked at.

    Args:
        bundle: Data with classes.
        seed: Seed of folds and of the choice of samples.
    """
    found = label_measures(bundle, seed, most=_MOST)
    split = bundle.splits["train"]
    if found is None or found.contradictions is None:
        note = "data.suspected_labels=drop: nothing is left out, since these samples cannot be compared"
        return replace(bundle, notes=(*bundle.notes, note))
    numbers = [one.index for one in found.contradictions.suspects if one.split == "train"]
    is_kept = ~np.isin(split.indices.cpu().numpy(), numbers)
    labels = tensor_of(split.targets).cpu().numpy()
    is_kept |= ~np.isin(labels, np.unique(labels[is_kept]))
    left_out = int((~is_kept).sum())
    looked_at = min(len(split), _MOST["train"])
    share = f"of {looked_at:,} training samples " if looked_at == len(split) else f"of {looked_at:,} looked at "
    note = f"data.suspected_labels=drop: {counted(left_out, 'sample')} {share}left out, whose class is probably wrong"
    kept = bundle.with_split_subset("train", torch.from_numpy(np.flatnonzero(is_kept))) if left_out else bundle
    return replace(kept, notes=(*bundle.notes, note))
