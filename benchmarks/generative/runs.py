"""A run that is trained and evaluated, and how its figures are written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any


def evaluated(words: Sequence[str], folder: Path) -> tuple[dict[str, Any], float]:
    """report.json of the test split of a new run, and the processor seconds of its training."""
    import dlexp
    from dlexp.workflows.evaluate.evaluate import evaluate_run

    start = time.process_time()
    run = dlexp.train(*words, run_dir=folder, progress=False)
    seconds = time.process_time() - start
    return evaluate_run(Path(run.path), "test", "best", {}, ()), seconds


def spread(values: Sequence[float]) -> str:
    """Mean, and the lowest and highest."""
    return f"{mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"
