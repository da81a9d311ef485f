"""The last step of a compression: integers in place of the weights."""

from __future__ import annotations

from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.assemble.experiment import Experiment
from dlexp.errors import ConfigError
from dlexp.workflows.compress.request import Quantize


def quantized(run: RunDir, experiment: Experiment, step: Quantize) -> Experiment:
    """Quantize the network of a locked run whose checkpoints are written; returns the experiment that replaces it.

    Args:
        run: The run.
        experiment: With the weights of its best checkpoint.
        step: The mode.
    """
    raise ConfigError.one("--quantize", step.mode, "is not available yet", "Remove it.", code="not-supported")
