"""The workflow `dlexp data preview`: samples before and after augmentation.

Symbols: B samples, C channels, H and W height and width in pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dlexp.artifacts.files.writing import write_bytes
from dlexp.assemble.experiment import build_data, interpretation_of
from dlexp.config.schema.run import RunConfig
from dlexp.data.bundle import DataBundle
from dlexp.data.columns import tensor_of
from dlexp.data.tables.original_units import ColumnValues, original_columns
from dlexp.errors import ConfigError
from dlexp.kinds import describe_kind
from dlexp.report.number_format import distinct_texts
from dlexp.runtime.seed import order
from dlexp.specs import ClassSpec, ImageSpec, TableSpec, ValueSpec
from dlexp.types import as_tensor
from dlexp.workflows.data.settings import PreviewRequest
from dlexp.workflows.pictures import draw_picture


def preview(config: RunConfig, request: PreviewRequest, trusted: Sequence[str]) -> dict[str, Any]:
    """Draw the first samples of an epoch, in the order of training; returns what the figure shows.

    Raises:
        ConfigError: An invalid request.
        DataError: The data cannot be read.
    """
    request.check()
    bundle = build_data(config, trusted)
    split = bundle.splits[request.split]
    count = min(request.count, len(split))
    positions = order(len(split), config.seed, request.epoch - 1)[:count]
    if bundle.texts is not None:
        return _texts(bundle, bundle.texts, config, request, positions)
    _refuse_other_kinds(bundle, config)
    ((given, learned),) = split.read([positions], bundle.recipe.unchanged)
    inputs, targets = as_tensor(given), as_tensor(learned)
    facts = {
        "file": str(request.path),
        "data": config.data.option,
        "interpretation": interpretation_of(config, bundle),
        "split": request.split,
        "of": len(split),
        "epoch": request.epoch,
        "seed": config.seed,
        "rows": split.indices[positions].tolist(),
        "labels": _labels(bundle, targets),
        "targets": targets.tolist(),
        "notes": list(bundle.notes),
    }
    if isinstance(bundle.spec.inputs, ImageSpec):
        transform = bundle.recipe.transform(config.seed, request.epoch - 1) if request.split == "train" else None
        changed = None if transform is None else as_tensor(next(iter(split.read([positions], transform)))[0])
        picture = draw_picture(request.path.name, lambda: _images(bundle, inputs, changed, facts))
        facts |= {"augment": bundle.augment, "steps": [str(step.operation) for step in bundle.recipe.steps]}
    else:
        facts["columns"] = {name: _plain(cells) for name, cells in _columns(bundle, inputs).items()}
        picture = draw_picture(request.path.name, lambda: _histograms(bundle, request.split))
    write_bytes(request.path.absolute(), picture)
    return facts


def _texts(
    bundle: DataBundle,
    texts: Callable[[NDArray[np.int64]], list[str]],
    config: RunConfig,
    request: PreviewRequest,
    positions: Tensor,
) -> dict[str, Any]:
    """The texts themselves, and their targets; nothing is drawn."""
    split, spec = bundle.splits[request.split], bundle.spec
    rows = split.indices[positions]
    known = isinstance(spec.targets, ClassSpec | ValueSpec)
    learned = None if split.targets is None or not known else as_tensor(next(iter(split.targets.read([positions]))))
    return {
        "data": config.data.option,
        "interpretation": interpretation_of(config, bundle),
        "split": request.split,
        "of": len(split),
        "epoch": request.epoch,
        "seed": config.seed,
        "rows": rows.tolist(),
        "labels": [""] * len(rows) if learned is None else _labels(bundle, learned),
        "texts": texts(rows.numpy()),
        "notes": list(bundle.notes),
    }


def _refuse_other_kinds(bundle: DataBundle, config: RunConfig) -> None:
    """Raise ConfigError for samples that have no picture."""
    spec = bundle.spec
    for is_known, kind in (
        (isinstance(spec.inputs, ImageSpec | TableSpec), spec.inputs.kind),
        (isinstance(spec.targets, ClassSpec | ValueSpec), spec.target_kind),
    ):
        if not is_known:
            rule = f"has no preview: {describe_kind(kind)}"
            raise ConfigError.one("data", config.data.option, rule, code="not-supported")


def _labels(bundle: DataBundle, targets: Tensor) -> list[str]:
    """The class of each sample, or its target values with enough digits to distinguish them."""
    if isinstance(bundle.spec.targets, ClassSpec):
        return [bundle.spec.targets.names[number] for number in targets.tolist()]
    return [", ".join(row) for row in zip(*map(distinct_texts, targets.T.tolist()), strict=True)]


def _images(bundle: DataBundle, inputs: Tensor, changed: Tensor | None, facts: dict[str, Any]) -> bytes:
    """A figure of images (B, C, H, W), each next to its augmented version."""
    from dlexp.report.figures.samples import samples_png  # matplotlib loads when there is something to draw

    white = bundle.preprocessing.get("white")
    # Numbers without a white level are scaled to the range of the shown samples.
    black, white = (0.0, float(white)) if white else (float(inputs.min()), float(inputs.max()))
    shown = [_pixels(images, black, white) for images in (inputs, changed) if images is not None]
    title = f"data={facts['data']}, {facts['split']}: {len(inputs)} of {facts['of']:,} samples"
    if not bundle.preprocessing.get("white"):
        title += f"; black is {black:.4g}, white {white:.4g}"
    if changed is not None:
        title += f"; left: original, right: data.augment={_shortened(bundle.augment)} in epoch {facts['epoch']}"
    elif facts["split"] == "train":
        title += "; data.augment=none"
    else:
        title += "; no augmentation outside training"
    return samples_png(title, shown, facts["labels"])


def _shortened(augment: str | Sequence[Any]) -> str:
    text = augment if isinstance(augment, str) else str(list(augment)).replace("'", "")
    return text if len(text) <= 60 else f"{text[:57]}..."


def _pixels(images: Tensor, black: float, white: float) -> np.ndarray[Any, Any]:
    """(B, C, H, W) -> (B, H, W) gray or (B, H, W, 3), uint8; only the first three channels."""
    levels = ((images.float() - black) * (255 / ((white - black) or 1.0))).round().clamp(0, 255).byte()
    gray = levels.shape[1] < 3
    return (levels[:, 0] if gray else levels[:, :3].permute(0, 2, 3, 1)).contiguous().numpy()


def _columns(bundle: DataBundle, inputs: Tensor) -> dict[str, ColumnValues]:
    return original_columns(inputs.flatten(1).numpy(), bundle.preprocessing)


def _histograms(bundle: DataBundle, name: str) -> bytes:
    from dlexp.report.figures.samples import columns_png

    spec, split = bundle.spec, bundle.splits[name]
    values = tensor_of(split.targets)
    if isinstance(spec.targets, ClassSpec):
        targets: dict[str, ColumnValues] = {"class": _labels(bundle, values)}
    else:
        targets = {one: values[:, n].double().numpy() for n, one in enumerate(spec.output_names)}
    columns = _columns(bundle, tensor_of(split.inputs))
    return columns_png(f"{name}: {len(split):,} rows", {**targets, **columns}, len(targets))


def _plain(cells: ColumnValues) -> list[Any]:
    return cells if isinstance(cells, list) else cells.tolist()
