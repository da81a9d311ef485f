"""What half of the channels costs: runs of several seeds, compressed and trained on, measured on the test split.

    .venv/bin/python -m benchmarks.compression.pruning resnet18 --epochs 10 --seeds 5 --onnx
    .venv/bin/python -m benchmarks.compression.pruning mlp --epochs 30 --seeds 5 --prune 0.5 --baseline

One line for each seed, then means with the standard deviation between seeds. Runs in --folder are not made again.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import dlexp


def main() -> None:
    """Train, compress and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--prune", type=float, default=0.5)
    parser.add_argument("--fine-tuning", type=int, default=5)
    parser.add_argument("--single-weights", action="store_true")
    parser.add_argument("--onnx", action="store_true")
    parser.add_argument("--baseline", action="store_true")
    parser.add_argument("--folder", type=Path, default=Path("outputs/benchmark-pruning"))
    given = parser.parse_args()
    found = [_measured(given, seed) for seed in range(42, 42 + given.seeds)]
    for name in found[0]:
        values = [each[name] for each in found]
        spread = f" (std {statistics.stdev(values):.4g})" if len(values) > 1 else ""
        print(f"{name:24} {statistics.fmean(values):.5g}{spread}, n = {len(values)}")


def _measured(given: argparse.Namespace, seed: int) -> dict[str, float]:
    """The figures of one seed."""
    source = given.folder / f"{given.model}-{given.epochs}-{seed}"
    kind = "weights" if given.single_weights else "channels"
    place = given.folder / f"{source.name}-{kind}-{given.prune:g}-{given.fine_tuning}"
    if not (source / "summary.json").is_file():
        words = (f"model={given.model}", f"trainer.epochs={given.epochs}", f"seed={seed}")
        dlexp.train(*words, run_dir=source, progress=False)
    if not (place / "compress.json").is_file():
        dlexp.load(source).compress(
            prune=given.prune,
            structured=not given.single_weights,
            epochs=given.fine_tuning,
            split="test",
            onnx=given.onnx,
            baseline=given.baseline,
            run_dir=place,
            progress=False,
        )
    figures = _figures(json.loads((place / "compress.json").read_text()))
    print(seed, json.dumps(figures), flush=True)
    return figures


def _figures(content: dict[str, Any]) -> dict[str, float]:
    metric, before, after = content["metric"], content["before"], content["after"]
    found = {
        "accuracy_before": 100 * metric["before"],
        "accuracy_after": 100 * metric["after"],
        "points": 100 * metric["difference"]["value"],
        "multiply_adds_ratio": before["multiply_adds"] / after["multiply_adds"],
        "parameters_ratio": before["parameters"] / after["nonzero_parameters"],
        "file_ratio": before["file_bytes"] / after["file_bytes"],
        "eager_ratio": before["latency"]["p50_ms"] / after["latency"]["p50_ms"],
    }
    if "onnx_latency" in after:
        found["eager_to_onnx_ratio"] = before["latency"]["p50_ms"] / after["onnx_latency"]["p50_ms"]
    if "baseline" in content:
        found["accuracy_baseline"] = 100 * content["baseline"]["metrics"]["accuracy"]
    return found


if __name__ == "__main__":
    main()
