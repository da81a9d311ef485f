"""Readers of the JSON files of runs, studies and sweeps, which check keys and types.

    read_run_file(run / "meta.json")["started"]     a text, or a DlexpError that names the file and `started`

A directory may have been copied, edited or written by another program, so its files are checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.format_number import FILES, refuse_other_format
from dlexp.artifacts.files.json_shapes import (
    ANY,
    FLAG,
    NUMBER,
    OBJECT,
    TEXT,
    TIME,
    WHOLE,
    ListOf,
    MapOf,
    OrNull,
    Record,
    Shape,
    mismatch,
)
from dlexp.artifacts.files.writing import read_json
from dlexp.errors import DlexpError

LOGGERS_FILE = "loggers.json"  # what became of the trackers of a run
_METRICS = MapOf(OrNull(NUMBER))
_TEXTS = ListOf(TEXT)
_CONFIG = Record(
    required={
        "task": Record(required={"monitor": TEXT}, optional={"_metrics_": OrNull(MapOf(TEXT))}),
        "trainer": Record(optional={"monitor": OrNull(TEXT), "epochs": WHOLE}),
        "seed": WHOLE,
    },
    optional={"init_from": OrNull(TEXT), "name": OrNull(TEXT)},
)
_SIDE = Record(required={"kind": TEXT})  # the rest depends on the kind, and is checked by `dlexp.specs`
_SPEC = Record(required={"inputs": _SIDE, "targets": OrNull(_SIDE)})
_AFFINE = Record(required={"shape": ListOf(WHOLE), "values": ANY})
_COLUMN = Record(required={"kind": TEXT, "name": TEXT})

_META = Record(
    optional={
        "started": TEXT,
        "continued": ListOf(TIME),
        "changed": ListOf(OBJECT),
        "notes": _TEXTS,
        **dict.fromkeys(("dlexp", "data", "model", "task", "device", "precision", "init", "host", "python"), TEXT),
        **dict.fromkeys(("commit", "data_fingerprint", "split_hash"), OrNull(TEXT)),
        **dict.fromkeys(("teacher", "teacher_fingerprint"), TEXT),
        "code": MapOf(OrNull(TEXT)),
        "dirty": OrNull(FLAG),
        "outputs": _TEXTS,
        "parameters": WHOLE,
        "samples": MapOf(WHOLE),
        "settings": OBJECT,
        "config": OBJECT,
        "augmentation": Record(required={"words": ANY, "pad": WHOLE, "mirrors": FLAG}),
    }
)
_SUMMARY = Record(
    optional={
        **dict.fromkeys(("run", "reason", "monitor", "model", "data"), TEXT),
        **dict.fromkeys(("best_epoch", "epochs", "updates", "skipped_updates", "rollbacks"), WHOLE),
        "best": OrNull(_METRICS),
        "test": _METRICS,
        "seconds": NUMBER,
        "samples": MapOf(WHOLE),
        "one_graph": OBJECT,
        "loggers": MapOf(OBJECT),
    }
)
_INTERVAL = Record(optional={"low": OrNull(NUMBER), "high": OrNull(NUMBER), "undefined": WHOLE, "reason": TEXT})
_REPORT = Record(
    optional={
        **dict.fromkeys(("run", "split", "checkpoint", "positive_class"), TEXT),
        "metrics": _METRICS,
        "samples": WHOLE,
        "split_accesses": WHOLE,
        "data_as_trained": FLAG,
        "evaluated": TIME,
        "intervals": MapOf(_INTERVAL),
        "bootstrap": OrNull(Record(optional={"level": NUMBER, "resamples": WHOLE, "method": TEXT})),
        "undefined": MapOf(TEXT),
        "tables": MapOf(Record(optional={"caption": TEXT, "labels": _TEXTS})),
        "figures": MapOf(TEXT),
        "changed_since_training": ListOf(OBJECT),
    }
)
_EXPLANATION = Record(
    required={"method": TEXT, "split": TEXT},
    optional={
        **dict.fromkeys(("run", "checkpoint", "target", "score", "baseline", "layer", "loss"), TEXT),
        **dict.fromkeys(("failures", "notes"), _TEXTS),
        "explained": TIME,
        "figures": MapOf(TEXT),
        "samples": ListOf(OBJECT),
        "importances": ListOf(Record({"columns": _TEXTS, "increase": NUMBER}, {"low": ANY, "high": ANY})),
        "checks": OrNull(OBJECT),
    },
)
_DIAGNOSIS = Record(
    required={
        "findings": ListOf(
            Record(
                required={
                    **dict.fromkeys(("code", "severity", "what"), TEXT),
                    "evidence": ListOf(Record(required={"measure": TEXT}, optional={"value": ANY, "limit": ANY})),
                },
                optional={**dict.fromkeys(("cause", "action", "line", "layer", "source"), TEXT), "remedy": _TEXTS},
            )
        ),
    },
    optional={
        "run": TEXT,
        "examined": TIME,
        "rules": WHOLE,
        "counts": MapOf(WHOLE),
        "measures": MapOf(OrNull(NUMBER)),
        "notes": _TEXTS,
    },
)
_STUDY = Record(
    optional={
        **dict.fromkeys(("study", "metric", "direction", "reason", "command"), TEXT),
        "trials": MapOf(WHOLE),
        "best": OrNull(Record(required={"value": NUMBER}, optional={"trial": WHOLE, "params": OBJECT, "folder": TEXT})),
        "baseline": OrNull(NUMBER),
        "settings": OBJECT,
        "importances": OrNull(MapOf(OrNull(NUMBER))),
        "made_with": MapOf(TEXT),
    }
)
_COSTS = Record(
    required={"sparsity": NUMBER},
    optional={
        **dict.fromkeys(("parameters", "nonzero_parameters", "multiply_adds", "peak_bytes"), WHOLE),
        **dict.fromkeys(("file_bytes", "onnx_bytes"), OrNull(WHOLE)),
    },
)
_COMPRESSION = Record(
    required={
        **dict.fromkeys(("source", "steps", "split", "cpu"), TEXT),
        "metric": Record(required={"name": TEXT, "before": OrNull(NUMBER), "after": OrNull(NUMBER)}),
        **dict.fromkeys(("before", "after"), _COSTS),
        "repeats": WHOLE,
        "notes": _TEXTS,
    },
    optional={"first_line": TEXT, "agreement": NUMBER},
)
_ENSEMBLE = Record(
    required={
        "members": ListOf(
            Record(
                required={"run": TEXT, "checkpoint": TEXT, "label": TEXT, "weight": NUMBER},
                optional={"temperature": OrNull(NUMBER), "val": MapOf(OrNull(NUMBER))},
            )
        ),
        **dict.fromkeys(("weights", "meaning"), TEXT),
        **dict.fromkeys(("vote", "calibrated"), FLAG),
    },
    optional={"temperature": OrNull(NUMBER), "made": TIME, "outputs": _TEXTS, "val_samples": WHOLE},
)
# File -> schema. Keys that a run of another version may lack are optional; a reader states those that it requires.
SHAPES: Mapping[str, Shape] = {
    "meta.json": _META,
    "status.json": Record(
        required={"state": TEXT, "epoch": WHOLE, "epochs": WHOLE},
        optional={"reason": TEXT, "exit_code": OrNull(WHOLE), "started": TEXT, "pid": WHOLE, "host": TEXT},
    ),
    "summary.json": _SUMMARY,
    "report.json": _REPORT,
    "preprocessing.json": Record(
        optional={
            "spec": _SPEC,
            "preprocess": Record(required={"kind": TEXT}, optional={"scale": _AFFINE, "shift": _AFFINE}),
            "columns": ListOf(_COLUMN),
            "white": OrNull(NUMBER),
        }
    ),
    "anomaly_threshold.json": Record(
        required={"score": TEXT, "threshold": NUMBER, "quantile": NUMBER, "samples": WHOLE, "checkpoint": TEXT}
    ),
    "crash.json": Record(required={"sha256": TEXT}),
    "hashes.json": MapOf(_TEXTS),
    "jobs.json": Record(
        required={
            "overrides": _TEXTS,
            "jobs": ListOf(Record({"overrides": _TEXTS, "varied": ListOf(_TEXTS), "config": OBJECT})),
        }
    ),
    "explain.json": _EXPLANATION,
    "compress.json": _COMPRESSION,
    "doctor.json": _DIAGNOSIS,
    "study.json": _STUDY,
    "ensemble.json": _ENSEMBLE,
    "lr_find.json": Record(
        optional={"suggestion": OrNull(NUMBER), "data": TEXT, "model": TEXT, "parameters": WHOLE},
    ),
    "result.json": Record(required={"value": OrNull(NUMBER)}),
    "loggers.json": MapOf(OBJECT),
}
# Keys of meta.json required to list a run in a table.
OF_A_RUN = Record(required={"started": TIME, "config": _CONFIG})
# Keys of summary.json of a finished run, shown at the end of training.
OF_AN_END = Record(
    dict.fromkeys(("run", "reason", "monitor", "best_epoch", "best", "epochs", "seconds"), ANY)
    | {"samples": Record(required={"train": WHOLE})}
)


def read_run_file(path: Path, *, needs: Shape | None = None) -> dict[str, Any]:
    """The keys and values of a file, checked against its schema in SHAPES.

    needs  a further schema that the caller requires
    Raises DlexpError with the file, the key, the expected type and the value.
    """
    found = read_json(path)
    if path.name in FILES and isinstance(found, Mapping):
        refuse_other_format(path, found)
    for shape in (SHAPES[path.name], needs):
        wrong = mismatch(found, shape) if shape is not None else ""
        if wrong:
            raise DlexpError(f"{path} cannot be read: {wrong}", code="corrupted")
    values: dict[str, Any] = found
    return values


def with_keys(*keys: str) -> Record:
    """A schema that requires these keys, of any type."""
    return Record(required=dict.fromkeys(keys, ANY))
