"""What each kind of `dlexp sample` decodes, and how the tiles of its picture are placed.

Symbols: N samples, R rows, K steps of an interpolation or a traversal, C classes, Z latent numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, sqrt
from typing import Any

import torch
from torch import Tensor

from dlexp.assemble.experiment import Experiment
from dlexp.data.columns import tensor_of
from dlexp.errors import ConfigError, Problem
from dlexp.runtime.seed import order
from dlexp.tasks.generative.base import Encodes
from dlexp.types import Batch, as_tensor
from dlexp.workflows.sample.class_names import name_of, names_of_classes, numbers_of_classes, wanted_classes
from dlexp.workflows.sample.maker import SampleMaker, Tiles, slerp
from dlexp.workflows.sample.own_units import Array
from dlexp.workflows.sample.request import ALL, SampleRequest
from dlexp.workflows.split_rows import positions_of, samples_at

_SAMPLES, _ROWS = 64, 8
_LABELED = 20  # classes that a picture has columns for
_STEPS_OF_TRAVERSAL = 7  # -3, -2, ..., 3
_MOST_LATENTS = 32  # that `--traverse all` shows
_FOR_SPREAD = 512  # samples that the spread of latents is measured on


@dataclass(frozen=True)
class SamplePlan:
    """Tiles, and their places.

    Attributes:
        tiles: What is decoded.
        shape: Leading shape of the array: (N,) or (R, K).
        columns: Of the picture.
        column_labels, row_labels: Of the picture; () for none.
        facts: For sample.json.
        originals: (N, *shape) in the units of the data, which the reconstructions are shown beside.
    """

    tiles: Tiles
    shape: tuple[int, ...]
    columns: int
    column_labels: tuple[str, ...] = ()
    row_labels: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    originals: Array | None = None


def needs_data(maker: SampleMaker, request: SampleRequest) -> bool:
    """Whether samples of the data are encoded."""
    if request.mode == "traversal":
        return maker.noise_shape is None or bool(request.rows)
    encodes = isinstance(maker.task, Encodes)
    return request.reconstruct or bool(request.rows) or (bool(request.between) and encodes)


def check_possible(maker: SampleMaker, request: SampleRequest) -> None:
    """Raise ConfigError with every word that the task has no use for, and with what it cannot do."""
    problems: list[Problem] = []
    kind = maker.name
    for name, option, value in (
        ("--steps", "steps", request.steps),
        ("--guidance", "guidance", request.guidance),
        ("--class", "classes", ", ".join(request.classes) or None),
    ):
        if value is not None and option not in maker.options:
            why = {
                "steps": f"{kind} makes a sample in one pass",
                "guidance": f"{kind} has no classifier-free guidance",
                "classes": "the model was trained without classes",
            }[option]
            problems.append(Problem(name, str(value), f"has no effect: {why}", f"Remove {name}.", code="no-effect"))
    problems += _lacking(maker, request)
    if problems:
        raise ConfigError(problems)


def _lacking(maker: SampleMaker, request: SampleRequest) -> list[Problem]:
    """What a task cannot do because it does not encode, or makes nothing of noise."""
    task = maker.task
    encodes, shape = isinstance(task, Encodes), maker.noise_shape
    kind = maker.name
    if not encodes and (request.reconstruct or request.rows):
        name = "--reconstruct" if request.reconstruct else "ROW"
        rule = f"requires a model that encodes, and {kind} makes samples of noise alone"
        return [Problem(name, "", rule, "Remove it; samples are made without.", code="not-supported")]
    if request.between and not encodes and not maker.takes_classes:
        rule = f"requires a model that encodes, or one with classes, and {kind} has neither"
        remedy = "Remove it: --interpolate alone goes from noise to noise."
        return [Problem("--between", ",".join(request.between), rule, remedy, code="not-supported")]
    if shape is None and request.mode == "samples":
        rule = f"{kind} only reconstructs; it makes no samples of its own"
        return [Problem("RUN", "", rule, "Add --reconstruct", code="not-supported")]
    if shape is None and request.mode == "interpolation" and not request.between and not request.rows:
        rule = f"needs two samples of the data: {kind} makes nothing of noise"
        names = names_of_classes(maker)
        remedy = f"Add --between {names[0]},{names[-1]}" if names else "Name two samples: --interpolate 8 ROW ROW"
        return [Problem("--interpolate", str(request.interpolate), rule, remedy, code="missing-requirement")]
    if request.mode == "traversal" and shape is not None and len(shape) != 1:
        rule = f"one number of noise of shape {'x'.join(map(str, shape))} has no meaning of its own"
        remedy = "Use --interpolate 8"
        return [Problem("--traverse", str(request.traverse), rule, remedy, code="not-supported")]
    return []


def plan_of(maker: SampleMaker, request: SampleRequest, data: Experiment | None) -> SamplePlan:
    """The plan of a request.

    Args:
        maker: The task.
        request: What is wanted; `check_possible` has accepted it.
        data: The experiment with its data where `needs_data` says so.
    """
    makes: Mapping[str, Callable[[SampleMaker, SampleRequest, Experiment | None], SamplePlan]] = {
        "samples": _samples,
        "interpolation": _interpolation,
        "reconstruction": _reconstruction,
        "traversal": _traversal,
    }
    return makes[request.mode](maker, request, data)


def _samples(maker: SampleMaker, request: SampleRequest, data: Experiment | None) -> SamplePlan:
    """Samples of noise; the classes take turns."""
    chosen = wanted_classes(maker, request)
    count = request.count or _full_rows(len(chosen))
    of = [chosen[number % len(chosen)] for number in range(request.first, request.first + count)] if chosen else []
    labels: tuple[str, ...] = ()
    columns = ceil(sqrt(count))
    if 1 < len(chosen) <= _LABELED:
        columns = len(chosen) * max(1, round(8 / len(chosen)))
        labels = tuple(name_of(maker, each) for each in of[:columns])
    facts: dict[str, Any] = {"first": request.first, "count": count}
    if chosen:
        facts["classes"] = [name_of(maker, each) for each in of]

    def classes(numbers: Sequence[int]) -> Tensor:
        return maker.one_hot([chosen[number % len(chosen)] for number in numbers])

    tiles = Tiles(
        range(request.first, request.first + count),
        lambda numbers: maker.noise(request.seed, numbers),
        classes=classes if chosen else None,
    )
    return SamplePlan(tiles, (count,), columns, labels, facts=facts)


def _full_rows(classes: int) -> int:
    """About 64, and as many of each class."""
    return classes * max(1, round(_SAMPLES / classes)) if 0 < classes <= _SAMPLES else _SAMPLES


@dataclass(frozen=True)
class _Ends:
    """Both ends of R paths: latents (R, *shape), and classes (R, C) or None; a label for each row."""

    first: Tensor
    last: Tensor
    classes: tuple[Tensor, Tensor] | None
    labels: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


def _interpolation(maker: SampleMaker, request: SampleRequest, data: Experiment | None) -> SamplePlan:
    """R paths of K steps from one end to the other."""
    steps = request.interpolate or 2
    ends = _ends_in_data(maker, request, data) if data is not None else _ends_in_noise(maker, request)
    shares, rows = torch.linspace(0, 1, steps), len(ends.first)
    is_round = maker.noise_shape is not None
    start = request.first * steps
    paths = [
        slerp(a, b, shares) if is_round else _straight(a, b, shares) for a, b in zip(ends.first, ends.last, strict=True)
    ]
    found = torch.cat(paths)
    mixed = None
    if ends.classes is not None:
        one, other = ends.classes
        mixed = torch.cat([_straight(a, b, shares) for a, b in zip(one, other, strict=True)])

    def taken(values: Tensor, numbers: Sequence[int]) -> Tensor:
        return values[torch.tensor([number - start for number in numbers])]

    tiles = Tiles(
        range(start, start + rows * steps),
        lambda numbers: taken(found, numbers),
        lambda numbers: [2 * (number // steps) for number in numbers],
        None if mixed is None else lambda numbers: taken(mixed, numbers),
    )
    facts = {"first": request.first, "count": rows, "steps_of_path": steps, **ends.facts}
    labels = tuple(f"{share:.2g}" for share in shares.tolist())
    return SamplePlan(tiles, (rows, steps), steps, labels, ends.labels, facts)


def _straight(first: Tensor, last: Tensor, shares: Tensor) -> Tensor:
    """(K, *shape) from `first` to `last`."""
    t = shares.reshape(-1, *(1,) * first.dim())
    return (1 - t) * first + t * last


def _ends_in_noise(maker: SampleMaker, request: SampleRequest) -> _Ends:
    """Two noises for each path, and the classes that `between` names."""
    rows = range(request.first, request.first + (request.count or _ROWS))
    first = maker.noise(request.seed, [2 * row for row in rows])
    last = maker.noise(request.seed, [2 * row + 1 for row in rows])
    if not maker.takes_classes:
        return _Ends(first, last, None)
    if request.between:
        one, other = numbers_of_classes(maker, "--between", request.between)
        pairs = [(one, other) for _ in rows]
    else:
        chosen = wanted_classes(maker, request)
        pairs = [(chosen[row % len(chosen)],) * 2 for row in rows]
    classes = maker.one_hot([a for a, _ in pairs]), maker.one_hot([b for _, b in pairs])
    labels = tuple(name_of(maker, a) if a == b else f"{name_of(maker, a)} to {name_of(maker, b)}" for a, b in pairs)
    return _Ends(first, last, classes, labels, {"between": [[name_of(maker, n) for n in pair] for pair in pairs]})


def _ends_in_data(maker: SampleMaker, request: SampleRequest, data: Experiment) -> _Ends:
    """Latents of samples: those of pairs of ROWs, or the samples of two classes in the order of the split."""
    split = request.split or "val"
    names = names_of_classes(maker)
    if request.rows:
        rows = request.rows
    elif names:
        rows = _pairs_of_classes(maker, request, data, split)
    else:
        rows = _row_numbers(request.between)
    batch = samples_at(data, split, positions_of(data, split, rows))
    latents, classes = maker.encoded(batch), maker.classes_of(batch)
    labels = tuple(f"{a} to {b}" for a, b in zip(rows[::2], rows[1::2], strict=True))
    pair = None if classes is None else (classes[::2], classes[1::2])
    facts = {"split": split, "rows": [list(pair) for pair in zip(rows[::2], rows[1::2], strict=True)]}
    if request.between and names:
        facts["between"] = list(request.between)
    return _Ends(latents[::2], latents[1::2], pair, labels, facts)


def _row_numbers(words: Sequence[str]) -> tuple[int, ...]:
    """Numbers of samples, of data without classes. Raises ConfigError."""
    wrong = [word for word in words if not word.isdecimal()]
    if wrong:
        rule = "must be the numbers of two samples: this data has no classes"
        raise ConfigError([Problem("--between", word, rule, code="invalid-type") for word in wrong])
    return tuple(map(int, words))


def _pairs_of_classes(maker: SampleMaker, request: SampleRequest, data: Experiment, split: str) -> tuple[int, ...]:
    """Numbers of samples of two classes, alternating."""
    chosen = numbers_of_classes(maker, "--between", request.between)
    part = data.bundle.splits[split]
    assert part.targets is not None
    targets = as_tensor(tensor_of(part.targets)).cpu()
    places = [part.indices[targets == number].tolist() for number in chosen]
    few = [name for name, found in zip(request.between, places, strict=True) if len(found) <= request.first]
    if few:
        rule = f"the {split} split has no more than {request.first} samples of it"
        raise ConfigError([Problem("--between", name, rule, code="too-few-samples") for name in few])
    count = min(request.count or _ROWS, *(len(found) - request.first for found in places))
    one, other = (found[request.first : request.first + count] for found in places)
    return tuple(number for pair in zip(one, other, strict=True) for number in pair)


def _rows_of_split(request: SampleRequest, data: Experiment, split: str, count: int) -> list[int]:
    """The positions of the ROWs of a request, or `count` that are drawn from the split by its seed."""
    if request.rows:
        return positions_of(data, split, request.rows)
    length = len(data.bundle.splits[split])
    return sorted(order(length, request.seed, 0)[: min(count, length)].tolist())


def _reconstruction(maker: SampleMaker, request: SampleRequest, data: Experiment | None) -> SamplePlan:
    """Samples of a split and what the model makes of them."""
    assert data is not None
    split = request.split or "val"
    positions = _rows_of_split(request, data, split, request.count or 4 * _ROWS)
    batch = samples_at(data, split, positions)
    return reconstructions(maker, batch, {"split": split})


def reconstructions(maker: SampleMaker, batch: Batch, facts: Mapping[str, Any]) -> SamplePlan:
    """The plan of the reconstructions of a batch."""
    latents, classes = maker.encoded(batch), maker.classes_of(batch)
    originals = maker.units.array(as_tensor(batch.inputs))
    numbers = batch.indices.tolist()
    tiles = Tiles(
        range(len(numbers)),
        lambda places: latents[list(places)],
        lambda places: [numbers[place] for place in places],
        None if classes is None else lambda places: classes[list(places)],
    )
    columns = min(len(numbers), 2 * _ROWS)
    facts = {**facts, "count": len(numbers), "rows": numbers}
    return SamplePlan(tiles, (len(numbers),), columns, facts=facts, originals=originals)


def _traversal(maker: SampleMaker, request: SampleRequest, data: Experiment | None) -> SamplePlan:
    """Latents of which one goes from -3 to 3 deviations."""
    middle, spread, start, classes, about = _starts(maker, request, data)
    width = start.shape[1]
    which = range(min(width, _MOST_LATENTS)) if request.traverse == ALL else [int(request.traverse or 0)]
    if which[-1] >= width:
        rule = f"must be a latent from 0 to {width - 1}"
        raise ConfigError.one("--traverse", str(request.traverse), rule, "Use --traverse all", code="out-of-range")
    ends = torch.linspace(-3, 3, _STEPS_OF_TRAVERSAL)
    pairs = [(row, latent) for latent in which for row in range(len(start))]
    found = start[[row for row, _ in pairs]][:, None].repeat(1, len(ends), 1)
    for place, (_, latent) in enumerate(pairs):
        found[place, :, latent] = middle[latent] + ends * spread[latent]
    flat = found.flatten(0, 1)
    steps = len(ends)
    tiles = Tiles(
        range(len(flat)),
        lambda numbers: flat[list(numbers)],
        lambda numbers: [pairs[number // steps][0] + request.first for number in numbers],
        None if classes is None else lambda numbers: classes[[pairs[number // steps][0] for number in numbers]],
    )
    names = [f"z{latent}" if len(which) > 1 else about[row] for row, latent in pairs]
    facts = {"latents": list(which), "of": width, "values": ends.tolist(), "count": len(pairs)}
    above = tuple(f"{end:g}" for end in ends.tolist())
    return SamplePlan(tiles, (len(pairs), steps), steps, above, tuple(names), facts)


def _starts(
    maker: SampleMaker, request: SampleRequest, data: Experiment | None
) -> tuple[Tensor, Tensor, Tensor, Tensor | None, list[str]]:
    """Mean (Z,) and deviation (Z,) of latents, the latents (R, Z) that are varied, their classes, and their names."""
    count = request.count or (1 if request.traverse == ALL else _ROWS)
    if data is None:
        numbers = range(request.first, request.first + count)
        start, chosen = maker.noise(request.seed, numbers), wanted_classes(maker, request)
        of = [chosen[number % len(chosen)] for number in numbers] if chosen else []
        classes = maker.one_hot(of) if of else None
        names = [name_of(maker, each) for each in of] or [f"sample {number}" for number in numbers]
        width = start.shape[1]
        return torch.zeros(width), torch.ones(width), start, classes, names
    split = request.split or "val"
    batch = samples_at(data, split, _rows_of_split(request, data, split, count))
    start = maker.encoded(batch)
    if start.dim() != 2:
        rule = f"one number of latents of shape {'x'.join(map(str, start.shape[1:]))} has no meaning of its own"
        raise ConfigError.one("--traverse", str(request.traverse), rule, "Use --reconstruct", code="not-supported")
    many = maker.encoded(samples_at(data, split, range(min(_FOR_SPREAD, len(data.bundle.splits[split])))))
    names = [f"row {number}" for number in batch.indices.tolist()]
    spread = many.std(0) if len(many) > 1 else torch.ones(many.shape[1])
    return many.mean(0), spread, start, maker.classes_of(batch), names
