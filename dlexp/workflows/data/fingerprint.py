"""`dlexp data fingerprint`: which data this is, what its splits hold, and what it was made of; nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlexp.assemble.experiment import build_data, interpretation_of
from dlexp.config.schema.run import RunConfig
from dlexp.data.bundle import SPLITS, DataBundle, Split, with_counts

# Keys of a data set that decide how its samples are used, and not which they are.
_NO_PART = ("batch_size", "eval_batch_size", "augment", "pad", "in_memory", "workers", "_inputs_", "_targets_")


def fingerprint(config: RunConfig, trusted: Sequence[str]) -> dict[str, Any]:
    """The identity of the data and of its split, counts, and the settings that decided them.

    Two runs with equal `fingerprint` and `split_hash` were trained and judged on the same samples. Raises DataError for
    data that cannot be read.
    """
    bundle = with_counts(build_data(config, trusted))
    spec = bundle.spec
    return {
        "data": config.data.option,
        "interpretation": interpretation_of(config, bundle),
        "fingerprint": bundle.fingerprint,
        "split_hash": bundle.split_hash,
        "inputs": spec.inputs,
        "input_shape": list(spec.input_shape),
        "targets": spec.targets,
        "classes": list(spec.class_names),
        "streamed": bundle.is_streamed,
        "splits": {name: counts_of(bundle, bundle.splits[name]) for name in SPLITS},
        "source": {key: value for key, value in config.tree["data"].items() if key not in _NO_PART},
        "preprocessing": dict(bundle.preprocessing),
        "notes": list(bundle.notes),
    }


def counts_of(bundle: DataBundle, split: Split) -> dict[str, Any]:
    """How many samples, and of what."""
    spec, targets = bundle.spec, split.targets
    if spec.targets == "class":
        counts = targets.bincount(minlength=len(spec.class_names)).tolist()
        names = spec.class_names or tuple(map(str, range(len(counts))))
        return {"samples": len(split), "classes": dict(zip(names, counts, strict=True))}
    names = spec.target_names or tuple(f"target {number}" for number in range(targets.shape[1]))
    values = targets.double()
    return {
        "samples": len(split),
        "values": {
            name: {"mean": float(one.mean()), "std": float(one.std(correction=0)), "min": float(one.min()),
                   "max": float(one.max())}
            for name, one in zip(names, values.unbind(dim=1), strict=True)
        },
    }  # fmt: skip
