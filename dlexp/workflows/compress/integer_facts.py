"""What compress.json says of a network in whole numbers: sizes, times in three forms, and its first line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from dlexp.artifacts.files.reading import is_file, read_text
from dlexp.workflows.compress.measure import LARGE, Call, instruction_set, latencies, network_call
from dlexp.workflows.compress.onnx_call import session_call
from dlexp.workflows.compress.quantize import Quantization, onnx_file
from dlexp.workflows.compress.request import CompressRequest
from dlexp.workflows.compress.source import Source
from dlexp.workflows.compress.steps import samples_of

_CPU_FACTS = Path("/proc/cpuinfo")


def with_integer_facts(
    content: dict[str, Any], source: Source, made: Quantization, request: CompressRequest
) -> dict[str, Any]:
    """compress.json of the float32 network, with the sizes and times of the quantized one in their place.

    Args:
        content: Of the network before it was quantized, without times.
        source: The original run.
        made: The quantization.
        request: Whose repeats are the calls that are timed.
    """
    original = made.float_file if request.is_quantization_alone else onnx_file(source.experiment)
    before, after = dict(content["before"]), dict(content["after"])
    after.pop("peak_bytes", None)  # within onnxruntime
    before["onnx_bytes"], after["onnx_bytes"] = len(original), len(made.found.content)
    times = _times(source, made, original, request.repeats)
    for name, facts in (("before", before), ("after", after)):
        facts |= {key.partition("/")[2]: value for key, value in times.items() if key.startswith(f"{name}/")}
    found = made.found
    share = f"{found.quantized} of {found.total} layers with weights are in 8 bits"
    on = f", their inputs scaled by {made.samples} training samples" if made.samples else ""
    vector = f"{instruction_set()}, {_vnni()}"
    notes = [f"{share}{on}", *content["notes"]]
    line, note = _speed(times, vector)
    extra = {"first_line": line} if line else {}
    return {
        **extra,
        **content,
        "before": before,
        "after": after,
        "repeats": request.repeats,
        "cpu": vector,
        "quantized_layers": found.quantized,
        "layers": found.total,
        "calibration_samples": made.samples,
        "notes": [*([note] if note else []), *notes],
    }


def _times(source: Source, made: Quantization, original: bytes, repeats: int) -> dict[str, dict[str, float]]:
    """before/KIND and after/KIND -> {p50_ms, p95_ms}.

    latency, latency_64  torch in float32 before; the run as it is now after
    onnx_latency         onnxruntime alone, float32 before and integers after
    """
    if not repeats:
        return {}
    one, many = samples_of(source.experiment, 1), samples_of(source.experiment, LARGE)
    assert isinstance(one.inputs, Tensor)
    for each in (source.experiment, made.experiment):
        each.networks.eval()
    given = one.inputs.cpu().float().contiguous()
    calls: dict[str, Call] = {
        "before/latency": network_call(source.experiment, one),
        "after/latency": network_call(made.experiment, one),
        "before/onnx_latency": session_call(original, given),
        "after/onnx_latency": session_call(made.found.content, given),
    }
    found = latencies(calls, repeats)
    large = {
        f"before/latency_{LARGE}": network_call(source.experiment, many),
        f"after/latency_{LARGE}": network_call(made.experiment, many),
    }
    return found | latencies(large, max(1, repeats // 5))


def _speed(times: dict[str, dict[str, float]], vector: str) -> tuple[str, str]:
    """(the first line of a report of a network that became slower, a note on one that did not)."""
    if not times:
        return "", ""
    floats, integers = times["before/onnx_latency"]["p50_ms"], times["after/onnx_latency"]["p50_ms"]
    pair = (
        f"{integers:.3g} ms against {floats:.3g} ms of float32 in onnxruntime (p50, one sample, one thread, {vector})"
    )
    if integers > floats:
        return f"8-bit integers are slower here: {pair}.", ""
    return "", f"8-bit integers take {pair}"


def _vnni() -> str:
    """Whether the CPU multiplies 8-bit integers in one instruction."""
    if not is_file(_CPU_FACTS):
        return "VNNI unknown"
    flags = next((line for line in read_text(_CPU_FACTS).splitlines() if line.startswith("flags")), "")
    return "with VNNI" if "vnni" in flags else "without VNNI"
