"""The workflow `dlexp data fingerprint`: the fingerprint of data, the contents of its splits and its source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlexp.assemble.experiment import build_data, interpretation_of
from dlexp.config.schema.run import RunConfig
from dlexp.data.bundle import SPLITS, DataBundle, Split, with_counts
from dlexp.data.columns import tensor_of
from dlexp.specs import ClassSpec, ValueSpec

# Keys of a data set that affect how samples are used, not which samples there are.
_NO_PART = (
    "batch_size",
    "eval_batch_size",
    "balance",
    "augment",
    "pad",
    "in_memory",
    "workers",
    "_inputs_",
    "_targets_",
)


def fingerprint(config: RunConfig, trusted: Sequence[str]) -> dict[str, Any]:
    """Fingerprint of the data, hash of the split, counts, and the settings that they depend on.

    Runs with equal `fingerprint` and `split_hash` were trained and evaluated on the same samples. Raises DataError for
    data that cannot be read.
    """
    bundle = with_counts(build_data(config, trusted))
    spec = bundle.spec
    return {
        "data": config.data.option,
        "interpretation": interpretation_of(config, bundle),
        "fingerprint": bundle.fingerprint,
        "split_hash": bundle.split_hash,
        "inputs": spec.inputs.kind,
        "input_shape": list(spec.inputs.shape),
        "targets": spec.target_kind,
        "classes": list(spec.targets.names if isinstance(spec.targets, ClassSpec) else ()),
        "streamed": bundle.is_streamed,
        "splits": {name: counts_of(bundle, bundle.splits[name]) for name in SPLITS},
        "source": {key: value for key, value in config.tree["data"].items() if key not in _NO_PART},
        "preprocessing": dict(bundle.preprocessing),
        "notes": list(bundle.notes),
    }


def counts_of(bundle: DataBundle, split: Split) -> dict[str, Any]:
    """The number of samples in a split, by class, or statistics of its targets."""
    targets = bundle.spec.targets
    if isinstance(targets, ClassSpec):
        counts = tensor_of(split.targets).bincount(minlength=len(targets.names)).tolist()
        return {"samples": len(split), "classes": dict(zip(targets.names, counts, strict=True))}
    if not isinstance(targets, ValueSpec):
        return {"samples": len(split)}
    values = tensor_of(split.targets).double()
    return {
        "samples": len(split),
        "values": {
            name: {"mean": float(one.mean()), "std": float(one.std(correction=0)), "min": float(one.min()),
                   "max": float(one.max())}
            for name, one in zip(targets.names, values.unbind(dim=1), strict=True)
        },
    }  # fmt: skip
