"""The files in explain/<method>/ of a run: attributions, figures, explain.json.

Symbols: B samples, S the shape of a sample, H and W of an image.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dlexp.artifacts.files.writing import write_bytes, write_csv, write_json
from dlexp.assemble.experiment import Experiment
from dlexp.explain.methods import Attribution, Subject
from dlexp.sequence_specs import SeriesSpec
from dlexp.specs import ImageSpec
from dlexp.workflows.explain.question import part_names
from dlexp.workflows.image_samples import has_pictures, images_of
from dlexp.workflows.pictures import Pictures

SCHEMA = 1  # of explain.json


def write_explanations(
    folder: Path,
    experiment: Experiment,
    split: str,
    positions: Sequence[int],
    subject: Subject,
    found: Attribution,
    content: dict[str, Any],
) -> dict[str, Any]:
    """Write attributions.npy (B, *S), the figures and explain.json; returns its content."""
    buffer = io.BytesIO()
    np.save(buffer, found.values.detach().float().cpu().numpy())
    write_bytes(folder / "attributions.npy", buffer.getvalue())
    pictures, figures = Pictures(), {}
    draw = _drawing(experiment, split, positions, subject, found, content)
    if draw is not None and pictures.write(folder / "explanations.png", draw):
        figures["explanations"] = caption_of(content)
    if content["checks"] and pictures.write(folder / "checks.png", partial(_draw_checks, content)):
        figures["checks"] = (
            "The score while parts are removed and added, the most important first, against random orders: "
            "an explanation falls faster and rises sooner."
        )
    return _write(folder, {**content, "figures": figures, **pictures.facts()})


def write_importances(folder: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Write importances.csv, its figure and explain.json; returns its content."""
    rows = [
        [" + ".join(row["columns"]), row["increase"], row["low"], row["high"]]
        for row in (*content["importances"], *content["correlated"])
    ]
    write_csv(folder / "importances.csv", ["column", "increase", "low", "high"], rows)
    pictures, figures = Pictures(), {}
    if pictures.write(folder / "importances.png", partial(_draw_importances, content)):
        figures["importances"] = (
            f"Increase of the {content['loss']} when a column is shuffled, {content['split']} split; 95 % intervals."
        )
    return _write(folder, {**content, "figures": figures, **pictures.facts()})


def caption_of(content: dict[str, Any]) -> str:
    """What the figure of the samples shows, and whether to believe it."""
    what = "the samples of largest loss" if content["worst_mistakes"] else "chosen samples"
    text = f"{content['method']}, {what} of the {content['split']} split: {content['score']}"
    text += "; red is for it, blue against it" if content["signed"] else "; only sizes are shown"
    if content.get("layer"):
        text += f"; layer {content['layer']}"
    if content["failures"]:
        return f"{text}. It failed its checks: {'; '.join(content['failures'])}."
    return f"{text}. It passed its checks." if content["checks"] else f"{text}. It was not checked."


def _write(folder: Path, content: dict[str, Any]) -> dict[str, Any]:
    content = {"schema": SCHEMA, **content, "folder": str(folder)}
    write_json(folder / "explain.json", content)  # last: where it is, the files that it belongs to are too
    return content


def _drawing(
    experiment: Experiment,
    split: str,
    positions: Sequence[int],
    subject: Subject,
    found: Attribution,
    content: dict[str, Any],
) -> Any:
    """A function that draws the samples, None for samples without a picture."""
    captions = [_caption(sample) for sample in content["samples"]]
    spec, title = experiment.bundle.spec.inputs, caption_of(content)
    if isinstance(spec, ImageSpec):
        if not has_pictures(experiment.bundle):
            return None
        images = _centered(images_of(experiment.bundle, split, positions), spec)
        heat = found.values.sum(1).double().cpu().numpy()
        return partial(_draw_overlays, images, heat, captions, title, content["signed"])
    if isinstance(spec, SeriesSpec):
        return partial(
            _draw_series,
            subject.values.cpu().numpy(),
            found.values.sum(2).cpu().numpy(),
            captions,
            title,
            content["signed"],
        )
    sums = subject.parts.sums(found.values).cpu()
    bars = [_bars(part_names(experiment, subject.values, row), sums[row]) for row in range(len(sums))]
    return partial(_draw_bars, bars, captions, title)


def _bars(names: Sequence[str], values: Tensor) -> dict[str, float]:
    """The twelve largest attributions by name, the largest first."""
    order = values.abs().argsort(descending=True, stable=True)[:12]
    return {names[int(number)]: float(values[number]) for number in order}


def _centered(images: Any, spec: ImageSpec) -> NDArray[np.float64]:
    """The middle of images (B, C, H, W) that are stored larger than the network sees them."""
    top, left = (images.shape[2] - spec.height) // 2, (images.shape[3] - spec.width) // 2
    cut: NDArray[np.float64] = images[:, :, top : top + spec.height, left : left + spec.width]
    return cut


def _caption(sample: dict[str, Any]) -> str:
    def text(value: object) -> str:
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    lines = [f"row {sample['row']}"]
    if "true" in sample:
        lines.append(f"true {text(sample['true'])}")
    lines.append(f"predicted {text(sample['predicted'])}")
    if sample["explained"] != sample["predicted"] and not isinstance(sample["predicted"], float):
        lines.append(f"explained {sample['explained']}")
    if sample["is_empty"]:
        lines.append("nothing to show")
    return "\n".join(lines)


def _draw_overlays(*arguments: Any) -> bytes:
    from dlexp.report.figures.explanations.overlays import overlays_png  # matplotlib loads when something is drawn

    return overlays_png(*arguments)


def _draw_series(*arguments: Any) -> bytes:
    from dlexp.report.figures.explanations.overlays import series_overlays_png

    return series_overlays_png(*arguments)


def _draw_bars(*arguments: Any) -> bytes:
    from dlexp.report.figures.explanations.bars import attribution_bars_png

    return attribution_bars_png(*arguments)


def _draw_checks(content: dict[str, Any]) -> bytes:
    from dlexp.report.figures.explanations.bars import removal_curves_png

    checks = content["checks"]
    curves = {name: (checks[name]["method"], checks[name]["random"]) for name in ("deletion", "insertion")}
    return removal_curves_png(curves, content["method"], checks["samples"])


def _draw_importances(content: dict[str, Any]) -> bytes:
    from dlexp.report.figures.explanations.bars import importances_png

    rows = [(" + ".join(r["columns"]), r["increase"], r["low"], r["high"]) for r in content["importances"]]
    return importances_png(rows, content["loss"], content["split"])
