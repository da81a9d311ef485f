"""The evaluation of the jobs of a sweep on a split: a table with a row per finished job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.claims import claimed
from dlexp.artifacts.files.writing import write_csv, write_json
from dlexp.errors import ConfigError, DlexpError
from dlexp.text.quoting import command
from dlexp.workflows.compare.standings.files import write_comparison
from dlexp.workflows.sweep.files import FINISHED, read_jobs, states_of


def evaluate_sweep(folder: Path, split: str, evaluate: Callable[[Path], Mapping[str, Any]]) -> dict[str, Any]:
    """Evaluate the finished jobs of a sweep; writes and returns the table eval-<split>.json, also as CSV.

    Args:
        folder: The directory of the sweep.
        split: train, val or test.
        evaluate: Evaluates the run in a directory; returns its report.

    Returns:
        sweep, split, jobs (number, varied, run, metrics, accesses: how often the split was read) and skipped (number,
        varied, reason): jobs that have not finished or cannot be evaluated; comparison: that of the configurations,
        None before two jobs have finished.

    Raises:
        ConfigError: No job has finished.
        DlexpError: The error of the first job, if none can be evaluated.
    """
    states = states_of(folder, read_jobs(folder)[1])
    finished = [state for state in states if state.state == FINISHED]
    if not finished:
        remedy = f"Finish it with {command('train', '--resume', folder)}"
        raise ConfigError.one(str(folder), "", "has no finished job", remedy, code="missing-requirement")
    jobs: list[dict[str, Any]] = []
    skipped = [
        {"number": s.number, "varied": dict(s.job.varied), "reason": f"not finished ({s.state})"}
        for s in states
        if s.state != FINISHED
    ]
    first: DlexpError | None = None
    with claimed(folder):
        for state in finished:
            about = {"number": state.number, "varied": dict(state.job.varied)}
            try:
                report = evaluate(state.folder)
            except DlexpError as error:
                first = first or error
                skipped.append({**about, "reason": str(error)})
                continue
            found = {"metrics": dict(report["metrics"]), "accesses": int(report["split_accesses"])}
            jobs.append({**about, "run": str(state.folder), **found})
        if first is not None and not jobs:
            raise first
        content = {"sweep": str(folder), "split": split, "jobs": jobs, "skipped": skipped}
        _write(folder, content)
        compared = write_comparison(folder)  # the predictions are new
    return content | {"comparison": compared}


def _write(folder: Path, content: Mapping[str, Any]) -> None:
    """Write eval-<split>.csv and eval-<split>.json."""
    jobs, name = content["jobs"], f"eval-{content['split']}"
    keys = list(dict.fromkeys(key for job in jobs for key in job["varied"]))
    metrics = list(dict.fromkeys(metric for job in jobs for metric in job["metrics"]))
    rows = [
        [job["number"], *(job["varied"].get(key) for key in keys), *(job["metrics"].get(metric) for metric in metrics)]
        for job in jobs
    ]
    write_csv(folder / f"{name}.csv", ["job", *keys, *metrics], rows)
    write_json(folder / f"{name}.json", content)
