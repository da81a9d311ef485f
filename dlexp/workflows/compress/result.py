"""The content of compress.json: what was done, and a table of the network before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dlexp.artifacts.files.reading import is_there
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.assemble.experiment import Experiment
from dlexp.text.time_format import now_utc
from dlexp.workflows.compress.comparison import paired_difference
from dlexp.workflows.compress.measure import (
    LARGE,
    Call,
    instruction_set,
    latencies,
    network_call,
    on_cpu,
    size_facts,
)
from dlexp.workflows.compress.onnx_call import onnx_call
from dlexp.workflows.compress.request import CompressRequest, Prune
from dlexp.workflows.compress.source import Source
from dlexp.workflows.compress.steps import Compressed, samples_of
from dlexp.workflows.run_record.read import read_run_summary

SCHEMA = 1


def content_of(
    run: RunDir,
    source: Source,
    experiment: Experiment,
    request: CompressRequest,
    done: Compressed,
    summary: Mapping[str, Any],
) -> dict[str, Any]:
    """compress.json of a run whose two networks are evaluated."""
    first = replace(read_run_summary(source.run.path), path=run / "before")
    pair = (first, read_run_summary(run.path))
    compared = paired_difference(("the original run", "the compressed run"), pair, request.split, request.metric)
    after = {**size_facts(experiment), "file_bytes": _file_bytes(run)}
    before = {**source.facts, "file_bytes": _file_bytes(source.run)}
    times = _times(source, experiment, request)
    for name, facts in (("before", before), ("after", after)):
        facts |= {key.partition("/")[2]: value for key, value in times.items() if key.startswith(f"{name}/")}
    return {
        "schema": SCHEMA,
        "run": str(run.path),
        "source": str(source.run.path),
        "source_weights": source.weights,
        "checkpoint": request.checkpoint,
        "steps": request.words,
        "done": done.facts,
        "epochs": request.epochs,
        "split": request.split,
        "metric": compared,
        "before": before,
        "after": after,
        "cpu": instruction_set(),
        "repeats": request.repeats,
        "notes": [*done.notes, *_notes(request, after)],
        "seconds": summary.get("seconds", 0.0),
        "made": now_utc(),
    }


def _file_bytes(run: RunDir) -> int | None:
    """The size of checkpoints/best.pt."""
    path = run / "checkpoints" / "best.pt"
    return path.stat().st_size if is_there(path) else None


def _times(source: Source, experiment: Experiment, request: CompressRequest) -> dict[str, dict[str, float]]:
    """before/KIND and after/KIND -> {p50_ms, p95_ms}; a kind is latency, latency_64 or onnx_latency."""
    if not request.repeats:
        return {}
    found: dict[str, dict[str, float]] = {}
    pair = {"before": on_cpu(source.experiment), "after": on_cpu(experiment)}
    one: dict[str, Call] = {}
    for name, each in pair.items():
        each.networks.eval()
        one[f"{name}/latency"] = network_call(each, samples_of(each, 1))
        if request.times_onnx:
            one[f"{name}/onnx_latency"] = onnx_call(each, samples_of(each, 1))
    found |= latencies(one, request.repeats)
    many = {f"{name}/latency_{LARGE}": network_call(each, samples_of(each, LARGE)) for name, each in pair.items()}
    return found | latencies(many, max(1, request.repeats // 5))


def _notes(request: CompressRequest, after: Mapping[str, Any]) -> list[str]:
    found = []
    zeros = [step for step in request.steps if isinstance(step, Prune) and not step.is_structured]
    if zeros:
        found.append(
            "zeros are stored and multiplied like other numbers: file, memory and time are those of the dense network; "
            "--structured removes channels"
        )
    if not request.has_baseline:
        found.append("the same structure trained from random weights, the honest baseline, is trained with --baseline")
    return found
