"""The workflow `dlexp data check`: errors and warnings about data, before training on it.

Images are read once and reduced to a few numbers each, so that streamed data requires little memory; tables are in
memory, as in training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.artifacts.files.writing import write_json
from dlexp.assemble.experiment import build_data, interpretation_of
from dlexp.config.check.advice import balance_remedy
from dlexp.config.schema.run import RunConfig
from dlexp.data.bundle import SPLITS, DataBundle
from dlexp.data.checks import columns as checked_columns
from dlexp.data.checks import duplicates, images
from dlexp.data.checks import splits as checked_splits
from dlexp.data.checks import texts as checked_texts
from dlexp.data.checks.image_scan import ImageScan, scan_images
from dlexp.data.checks.leakage import leaks
from dlexp.data.columns import tensor_of
from dlexp.data.images.float_precision import Narrowing
from dlexp.data.preprocess import Affine
from dlexp.data.tables.features.encodings import CategoryColumn, NumberColumn, encoded_columns, first_features
from dlexp.data.tables.original_units import ColumnValues, original_columns
from dlexp.data.tables.raw_table import ONE_VALUE
from dlexp.errors import DataError
from dlexp.findings import SEVERITIES, Finding, dropping, finding
from dlexp.kinds import describe_kind
from dlexp.report.figures.panel import Panel
from dlexp.sequence_specs import TokenSpec
from dlexp.specs import ClassSpec, ImageSpec, TableSpec, ValueSpec
from dlexp.types import as_tensor
from dlexp.workflows.data.fingerprint import counts_of
from dlexp.workflows.data.texts import text_findings
from dlexp.workflows.pictures import Pictures

_SCHEMA = 1
_CODES = "If it is a code for missing values, name it in data.missing_values=[...]"
_MAX_NEAR = 20_000  # images that are searched for near-duplicates: seconds, and about 20 MB
# Arguments of a data source that report all errors instead of the first one.
_LENIENT = {"on_bad": "skip", "allow_duplicates": True}


@dataclass(frozen=True)
class FoundInData:
    """The findings of one kind of data, and the panels of its figure."""

    findings: list[Finding]
    panels: list[Panel]
    near_among: int = 0


def check(config: RunConfig, folder: Path, trusted: Sequence[str]) -> dict[str, Any]:
    """Check all data; writes check.json and check.png to `folder` and returns the content of check.json.

    Raises:
        DataError: The data cannot be read at all.
        ConfigError: The settings are incompatible with the data.
    """
    bundle, refusal = _read(config, trusted)
    found = find_in_data(bundle, config, refusal)
    findings = found.findings
    tally = Counter(one.severity for one in findings)
    facts = {
        "schema": _SCHEMA,
        "data": config.data.option,
        "interpretation": interpretation_of(config, bundle),
        "fingerprint": bundle.fingerprint,
        "split_hash": bundle.split_hash,
        "splits": {name: counts_of(bundle, bundle.splits[name]) for name in SPLITS},
        "counts": {severity: tally[severity] for severity in SEVERITIES},
        "findings": [{**asdict(one), "where": list(one.where), "drops": list(one.drops)} for one in findings],
        "remedy": _for_all(findings, config),
        "near_copies_among": found.near_among,
        "notes": list(bundle.notes),
    }
    title = f"data={config.data.option}: " + ", ".join(f"{count:,} {name}" for name, count in bundle.sizes().items())
    pictures = Pictures()
    panels = [*_target_panels(bundle, facts), *found.panels]
    is_drawn = bool(panels) and pictures.write(folder.absolute() / "check.png", lambda: _drawn(title, panels))
    names = ("check.json", "check.png") if is_drawn else ("check.json",)
    facts |= {"files": [str(folder / name) for name in names], **pictures.facts()}
    write_json(folder.absolute() / "check.json", facts)
    return facts


def find_in_data(bundle: DataBundle, config: RunConfig, refusal: str = "") -> FoundInData:
    """Look into all data; the findings are sorted, the gravest first.

    Args:
        bundle: The data.
        config: Their settings.
        refusal: The error that training would raise, "" if it raises none.
    """
    found = _of_samples(bundle, config, refusal)
    findings = _of_splits(bundle, config) + _of_files(bundle, config) + found.findings
    if refusal and not any(one.severity == "error" for one in findings):
        findings.append(finding("error", "refused", refusal))
    return replace(found, findings=sorted(findings, key=lambda one: SEVERITIES.index(one.severity)))


def _for_all(findings: Sequence[Finding], config: RunConfig) -> str:
    """The setting that follows the advice of all findings about columns; "" for less than two of them."""
    some = [one for one in findings if one.drops]
    names = dict.fromkeys(name for one in some for name in one.drops)
    return dropping(list(names), config.data.arguments.get("columns")) if len(some) > 1 else ""


def _of_samples(bundle: DataBundle, config: RunConfig, refusal: str) -> FoundInData:
    """The findings of images, of a table or of texts; inputs of other kinds are not looked into."""
    who, inputs = _samples(bundle), bundle.spec.inputs
    if isinstance(inputs, ImageSpec):
        return _of_images(bundle, config, who, refusal)
    if isinstance(inputs, TableSpec):
        return _of_table(bundle, config, who)
    if bundle.texts is not None and isinstance(inputs, TokenSpec) and inputs.vocabulary is not None:
        return FoundInData(*text_findings(bundle, bundle.texts, who, _all_targets(bundle)))
    return FoundInData([finding("note", "not-checked", f"samples are not checked: {describe_kind(inputs.kind)}")], [])


def _drawn(title: str, panels: Sequence[Panel]) -> bytes:
    from dlexp.report.figures.data_check import check_png  # matplotlib loads when there is something to draw

    return check_png(title, panels)


def _read(config: RunConfig, trusted: Sequence[str]) -> tuple[DataBundle, str]:
    """(the data without unreadable files, the error that training would raise for duplicates across splits or "").

    Corrupted files are skipped regardless of data.on_bad. Duplicates are allowed if they were the error.
    """
    arguments = config.data.arguments
    lenient = {key: value for key, value in _LENIENT.items() if key in arguments}
    skipping = {key: value for key, value in lenient.items() if key == "on_bad"}
    try:
        return build_data(_with(config, skipping), trusted), ""
    except DataError as error:
        if lenient == skipping or arguments["allow_duplicates"]:
            raise
        try:
            return build_data(_with(config, lenient), trusted), str(error)
        except DataError:
            raise error from None


def _with(config: RunConfig, changes: dict[str, Any]) -> RunConfig:
    return replace(config, data=replace(config.data, arguments={**config.data.arguments, **changes}))


def _samples(bundle: DataBundle) -> duplicates.Samples:
    """All samples, those of train first, with their names in the source."""
    splits = [bundle.splits[name] for name in SPLITS]
    rows = np.concatenate([split.indices.numpy() for split in splits])
    part = np.repeat(np.arange(len(splits)), [len(split) for split in splits])
    name = bundle.named or (lambda some: [f"row {row}" for row in some.tolist()])
    return duplicates.Samples(part, lambda positions: name(rows[positions]))


def _of_splits(bundle: DataBundle, config: RunConfig) -> list[Finding]:
    splits = bundle.splits
    found = checked_splits.overlaps({name: splits[name].indices.numpy() for name in SPLITS})
    found += checked_splits.sizes(bundle.sizes())
    if isinstance(bundle.spec.targets, ClassSpec):
        number = bundle.spec.num_outputs
        counts = {name: np.bincount(tensor_of(splits[name].targets).numpy(), minlength=number) for name in SPLITS}
        remedy = balance_remedy(config.loss.arguments, config.balance) or "trainer.monitor=val/balanced_accuracy"
        found += checked_splits.classes(counts, bundle.spec.targets.names, remedy, config.data.arguments)
    return found


def _of_files(bundle: DataBundle, config: RunConfig) -> list[Finding]:
    others = [name for name in bundle.left_out if name not in set(bundle.damaged)]
    left_out = images.left_out if bundle.texts is None else checked_texts.unusable
    return left_out(bundle.damaged, others, config.data.arguments.get("on_bad") == "skip")


def _of_images(bundle: DataBundle, config: RunConfig, who: duplicates.Samples, refusal: str) -> FoundInData:
    splits = [bundle.splits[name] for name in SPLITS]
    total, white = len(who.part), bundle.preprocessing.get("white")
    scans = [scan_images(split, white, _MAX_NEAR * len(split) // max(total, _MAX_NEAR)) for split in splits]
    learned = scans[0]
    keys, flat, black, finite = (
        np.concatenate([getattr(scan, name) for scan in scans])
        for name in ("digests", "is_flat", "is_black", "is_finite")
    )
    # Images of a single color are equal, and a separate finding.
    showing = np.flatnonzero(~flat)
    groups = [showing[group] for group in duplicates.equal_groups(keys[showing])]
    found = images.not_finite(who.named(np.flatnonzero(~finite)))
    found += images.blank_images(flat, black, who.named(np.flatnonzero(flat)))
    found += duplicates.duplicates(groups, who, False, refusal)
    found += _conflicts(bundle, groups, who)
    thumbed, among = _near(scans, keys, who)
    found += thumbed
    found += images.dead_pixels(learned.low, learned.high)
    measured = config.data.arguments.get("mean", 0) is not None and "mean" in config.data.arguments
    names = [f"channel {number}" for number in range(len(learned.mean))]
    remedy = "data.mean=null data.std=null" if measured else ""
    found += checked_columns.unnormalized(names, *_normalized(bundle, learned), remedy)
    narrowing = Narrowing.of_plain(bundle.preprocessing)
    panels = [
        Panel(
            f"pixels, {name}" if len(names) > 1 else "pixels",
            learned.edges if narrowing is None else learned.edges * narrowing.unit[number] + narrowing.offset[number],
            learned.histogram[number],
            "value",
            "pixels",
        )
        for number, name in enumerate(names)
    ]
    return FoundInData(found, panels, among)


def _conflicts(bundle: DataBundle, groups: list[NDArray[np.int64]], who: duplicates.Samples) -> list[Finding]:
    """Equal inputs whose targets differ; none where targets are neither classes nor values."""
    targets = _all_targets(bundle)
    if targets is None:
        return []
    return duplicates.conflicts(groups, targets, who, isinstance(bundle.spec.targets, ClassSpec))


def _all_targets(bundle: DataBundle) -> NDArray[Any] | None:
    """(N,) class numbers or (N, O) values of all splits, None for targets of other kinds."""
    if not isinstance(bundle.spec.targets, ClassSpec | ValueSpec):
        return None
    return np.concatenate([tensor_of(bundle.splits[name].targets).numpy() for name in SPLITS])


def _near(scans: Sequence[ImageScan], keys: NDArray[np.generic], who: duplicates.Samples) -> tuple[list[Finding], int]:
    """Near-duplicates among the images that have a thumbnail, and the number of those images."""
    starts = np.cumsum([0, *(len(scan.digests) for scan in scans[:-1])])
    positions = np.concatenate([scan.thumbed + start for scan, start in zip(scans, starts, strict=True)])
    hashes, thumbs = (np.concatenate([getattr(scan, name) for scan in scans]) for name in ("hashes", "thumbs"))
    some = duplicates.Samples(who.part[positions], lambda chosen: who.named(positions[chosen]))
    found = duplicates.near_duplicates(hashes, thumbs, keys[positions], some)
    if len(positions) < len(who.part):
        what = f"near-duplicates were searched in {len(positions):,} of {len(who.part):,} images, evenly spaced"
        found.append(finding("note", "sampled", what))
    return found, len(positions)


def _normalized(bundle: DataBundle, scan: ImageScan) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation (C,) of each channel after normalization."""
    given = bundle.preprocess
    if not isinstance(given, Affine):
        return scan.mean, scan.std
    shape = bundle.spec.inputs.shape
    scale, shift = (part.expand(shape).double().mean(dim=(1, 2)).numpy() for part in (given.scale, given.shift))
    return scan.mean * scale + shift, scan.std * np.abs(scale)


def _of_table(bundle: DataBundle, config: RunConfig, who: duplicates.Samples) -> FoundInData:
    splits, arguments = [bundle.splits[name] for name in SPLITS], config.data.arguments
    inputs = [tensor_of(split.inputs).flatten(1) for split in splits]
    whole = np.concatenate([part.numpy() for part in inputs])
    finite = np.isfinite(whole).all(axis=1)
    found = images.not_finite(who.named(np.flatnonzero(~finite)))
    learned = np.flatnonzero(finite[: len(inputs[0])])
    columns = original_columns(inputs[0].numpy()[learned], bundle.preprocessing)
    declared = arguments.get("columns")
    index = {name: why for name, why in bundle.omitted.items() if why != ONE_VALUE}
    found += checked_columns.constant_columns(columns, [name for name in bundle.omitted if name not in index], declared)
    found += checked_columns.no_features(index)
    found += checked_columns.redundant(columns, declared)
    found += checked_columns.similar_labels(_labels(bundle))
    gaps = {name: (count, who_is(bundle, rows)) for name, (count, rows) in bundle.missing.items()}
    found += checked_columns.missing_cells(gaps, len(whole), declared)
    codes = _CODES if "missing_values" in arguments else ""
    found += checked_columns.outliers(columns, lambda rows: who.named(learned[rows]), codes)
    found += checked_splits.divided(bundle.divided)
    found += leaks(columns, _targets(bundle, learned), declared)
    ready = as_tensor(bundle.preprocess(inputs[0])).double().numpy()
    numbers = _number_features(bundle, ready.shape[1])
    names, chosen = [name for name, _ in numbers], [place for _, place in numbers]
    remedy = "data.standardize=true" if arguments.get("standardize") is False else ""
    found += checked_columns.unnormalized(names, ready.mean(axis=0)[chosen], ready.std(axis=0)[chosen], remedy)
    rows, targets = duplicates.rows_as_keys(whole), _all_targets(bundle)
    answers = rows if targets is None else duplicates.rows_as_keys(targets.reshape(len(targets), -1))
    pairs = np.stack([rows, answers], axis=1)
    found += duplicates.duplicates(duplicates.equal_groups(duplicates.rows_as_keys(pairs)), who, True, "")
    found += _conflicts(bundle, duplicates.equal_groups(rows), who)
    return FoundInData(found, [Panel.of(name, cells) for name, cells in columns.items()])


def _labels(bundle: DataBundle) -> dict[str, Sequence[str]]:
    """The categories of each column, and the classes of the target."""
    fitted = encoded_columns(bundle.preprocessing)
    found: dict[str, Sequence[str]] = {fit.name: fit.categories for fit in fitted if isinstance(fit, CategoryColumn)}
    classes = bundle.spec.targets.names if isinstance(bundle.spec.targets, ClassSpec) else ()
    return {**found, bundle.target or "the target": classes}


def who_is(bundle: DataBundle, rows: Sequence[int]) -> list[str]:
    """The names of samples in their source."""
    return bundle.named(np.array(rows, dtype=np.int64)) if bundle.named else [f"row {row}" for row in rows]


def _number_features(bundle: DataBundle, count: int) -> list[tuple[str, int]]:
    """(name, position) of the numerical features."""
    fitted = encoded_columns(bundle.preprocessing)
    places = first_features(fitted)
    if places[-1] != count:
        return [(f"feature {number}", number) for number in range(count)]
    return [(fit.name, place) for fit, place in zip(fitted, places, strict=False) if isinstance(fit, NumberColumn)]


def _targets(bundle: DataBundle, chosen: NDArray[np.int64]) -> dict[str, NDArray[np.generic]]:
    """The targets of selected training rows, by name."""
    targets = bundle.spec.targets
    if not isinstance(targets, ClassSpec | ValueSpec):
        return {}
    values = tensor_of(bundle.splits["train"].targets).numpy()[chosen]
    if isinstance(targets, ClassSpec):
        return {"the target": values}
    return {name: values[:, number].astype(np.float64) for number, name in enumerate(targets.names)}


def _target_panels(bundle: DataBundle, facts: dict[str, Any]) -> list[Panel]:
    """Class counts of every split, or the distribution of every target over the training rows."""
    if isinstance(bundle.spec.targets, ClassSpec):
        names = bundle.spec.targets.names
        counts = np.array([[split["classes"][name] for name in names] for split in facts["splits"].values()])
        return [Panel.classes(names, SPLITS, counts)]
    everything = np.arange(len(bundle.splits["train"]))
    found: dict[str, ColumnValues] = {
        name: np.asarray(v, dtype=np.float64) for name, v in _targets(bundle, everything).items()
    }
    return [Panel.of(f"{name} (target)", cells) for name, cells in found.items()]
