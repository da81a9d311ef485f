"""Whether runs were trained on the same data, as far as a comparison of their predictions needs it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dlexp.artifacts.runs.run_files import read_run_file
from dlexp.errors import ConfigError
from dlexp.workflows.run_record.read import RunSummary

_TARGETS_PRINT = "targets_fingerprint"  # of forecasts, in preprocessing.json


def refuse_other_data(runs: Sequence[RunSummary]) -> None:
    """Raise ConfigError unless all runs have the same data; forecasts may have other covariates of the same targets."""
    prints = [run.meta.get("data_fingerprint") for run in runs]
    for run, fingerprint in zip(runs, prints, strict=True):
        if fingerprint != prints[0] and not _has_targets_of(run, runs[0]):
            rule = f"was trained on different data than {runs[0].path} (fingerprint {_short(fingerprint)} instead of "
            remedy = "Compare runs on the same data. List them with dlexp runs --data NAME"
            raise ConfigError.one(str(run.path), "", f"{rule}{_short(prints[0])})", remedy, code="incompatible-data")


def _has_targets_of(run: RunSummary, other: RunSummary) -> bool:
    """Whether both forecast the same values, divided at the same times, from whatever inputs."""
    found = {_targets_print(each.path / "preprocessing.json") for each in (run, other)}
    return len(found) == 1 and None not in found


def _targets_print(file: Path) -> object:
    """The fingerprint of the targets, None for a run that has none."""
    return read_run_file(file).get(_TARGETS_PRINT) if file.is_file() else None


def _short(fingerprint: object) -> str:
    return str(fingerprint)[:8]
