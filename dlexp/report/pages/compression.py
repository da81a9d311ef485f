"""The table of a compression, and its section of the page of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dlexp.report.number_format import number
from dlexp.report.pages.html import Html, Section, bullet_list, html_table, paragraph

_COUNTS = {
    "parameters": "parameters",
    "nonzero_parameters": "parameters that are not zero",
    "multiply_adds": "multiply-adds of a sample",
    "peak_bytes": "peak memory of a sample, bytes",
    "file_bytes": "file of the weights, bytes",
    "onnx_bytes": "ONNX file, bytes",
}
_TIMES = {
    "latency": "ms of a sample, {}",
    "latency_64": "ms of 64 samples, {}",
    "onnx_latency": "ms of a sample in onnxruntime, {}",
}


def compression_rows(content: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """(what, before, after, change) of compress.json; a change of costs is how many times less it is."""
    metric, before, after = content["metric"], content["before"], content["after"]
    values = [number(metric["name"], metric[side]) if metric[side] is not None else "" for side in ("before", "after")]
    yield metric["name"], *values, _difference(metric)
    if baseline := baseline_text(content):
        yield f"{metric['name']} of the baseline, from random weights", "", baseline, ""
    if (share := content.get("agreement")) is not None:
        yield "samples of the same predicted class", "", f"{100 * share:.2f} %", ""
    yield "sparsity", f"{100 * before['sparsity']:.1f} %", f"{100 * after['sparsity']:.1f} %", ""
    for key, label in _COUNTS.items():
        one, two = before.get(key), after.get(key)
        if one is not None and two is not None:
            yield label, f"{one:,}", f"{two:,}", _less(one, two)
    for key, label in _TIMES.items():
        if key in before and key in after:
            for share in ("p50", "p95"):
                one, two = before[key][f"{share}_ms"], after[key][f"{share}_ms"]
                yield label.format(share), f"{one:.3g}", f"{two:.3g}", _less(one, two)


def baseline_text(content: Mapping[str, Any]) -> str:
    """The metric of the same structure trained from random weights; "" where none was trained, or it has no such."""
    name = content["metric"]["name"]
    value = content.get("baseline", {}).get("metrics", {}).get(name.partition("/")[2])
    return "" if value is None else number(name, value)


def paired_text(metric: Mapping[str, Any]) -> str:
    """The verdict in a sentence, or why there is none."""
    if "verdict" in metric:
        return f"{metric['name']}, {metric['samples']:,} samples: {metric['verdict']}"
    return f"{metric['name']}: no interval, since {metric.get('unpaired', 'it is not known')}"


def compression_section(content: Mapping[str, Any]) -> Section:
    """The section of the page of a run; empty for a run that is no compression."""
    if not content:
        return Section("Compression", ())
    rows = [list(row) for row in compression_rows(content)]
    times = f"Times: one thread, {content['repeats']} calls in turn, {content['cpu']}." if content["repeats"] else ""
    parts: list[Html] = [paragraph(content["first_line"])] if content.get("first_line") else []
    parts.append(paragraph(f"Made of {content['source']} with {content['steps']}. {paired_text(content['metric'])}."))
    parts.append(html_table("Before and after", ["", "before", "after", "change"], rows))
    parts.append(paragraph(times))
    parts.append(bullet_list(content["notes"]))
    return Section("Compression", tuple(parts))


def _difference(metric: Mapping[str, Any]) -> str:
    found = metric.get("difference")
    if not found:
        return ""
    scale, unit = metric["scale"], f" {metric['unit']}" if metric["unit"] else ""
    return f"{scale * found['value']:+.3g}{unit} ({scale * found['low']:.3g} to {scale * found['high']:.3g})"


def _less(before: float, after: float) -> str:
    if before == after or not after:
        return ""
    return f"/ {before / after:.3g}" if after < before else f"x {after / before:.3g}"
