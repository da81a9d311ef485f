"""Processor time of a sample by onnxruntime with one thread: a network in float32 and in 8-bit integers.

    python -m benchmarks.compression.integers RUN QUANTIZED

RUN is a run, QUANTIZED what `dlexp compress RUN --quantize int8` made of it. Processor time, since the machine may be
busy: the smallest and the median of many calls that take turns.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import thread_time

import numpy as np

from dlexp.compression.onnx_network import OnnxNetwork
from dlexp.workflows.compress.onnx_call import session_call
from dlexp.workflows.compress.quantize import onnx_file
from dlexp.workflows.compress.steps import samples_of
from dlexp.workflows.run_record.restore import RestoreOptions, restore_run

_CALLS = 200
_PLAIN = {"trainer.device": "cpu", "trainer.precision": "fp32", "trainer.threads": 1}


def main(folders: list[str]) -> None:
    """Print the times of both."""
    calls: dict[str, Callable[[], object]] = {}
    for folder in folders:
        experiment = restore_run(Path(folder), RestoreOptions(changes=_PLAIN)).experiment
        kind = "int8" if isinstance(experiment.networks["model"], OnnxNetwork) else "float32"
        inputs = samples_of(experiment, 1).inputs
        calls[kind] = session_call(onnx_file(experiment), inputs)
    times = {kind: np.zeros(_CALLS) for kind in calls}
    for turn in range(_CALLS):
        for kind, call in calls.items():
            begun = thread_time()
            call()
            times[kind][turn] = 1000 * (thread_time() - begun)
    found = {kind: {"min_ms": each.min(), "p50_ms": float(np.median(each))} for kind, each in times.items()}
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
