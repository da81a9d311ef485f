"""What `dlexp sample` is asked, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlexp.errors import ConfigError, Problem
from dlexp.text.nearest import nearest_name

MOST_TILES = 1024  # of a picture; the arrays have all samples
ALL = "all"


@dataclass(frozen=True)
class SampleRequest:
    """Which samples are made, and how.

    Attributes:
        count: Samples; of interpolations and traversals the rows, of reconstructions the originals; None for as many
            as make a good picture.
        seed: Of the noise.
        first: Number of the first sample: sample K of a seed is the same whatever else is made.
        classes: Names or numbers of classes, in turn; () for all in turn.
        guidance: Strength of classifier-free guidance, None for the task's own.
        steps: Denoising steps, None for the task's own number.
        interpolate: Steps of each interpolation, both ends included; None for none.
        between: Two classes, or two numbers of samples where the data has no classes; () for two noises.
        reconstruct: Whether originals are shown beside their reconstructions.
        traverse: Number of a latent, from 0, or `all`; None for none.
        rows: Numbers of samples of the split.
        split: Where they are: train, val or test; None for val.
        checkpoint: best or last.
        out: Directory of the files, None for samples/ in that of the run.
        changes: Overrides, such as trainer.device.
        trusted: Trusted packages.
        allow_changes: Whether changed data and an edited configuration are allowed.
    """

    count: int | None = None
    seed: int = 0
    first: int = 0
    classes: tuple[str, ...] = ()
    guidance: float | None = None
    steps: int | None = None
    interpolate: int | None = None
    between: tuple[str, ...] = ()
    reconstruct: bool = False
    traverse: str | None = None
    rows: tuple[int, ...] = ()
    split: str | None = None
    checkpoint: str = "best"
    out: Path | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    trusted: tuple[str, ...] = ()
    allow_changes: bool = False

    @property
    def mode(self) -> str:
        """samples, interpolation, reconstruction or traversal: the name of the files."""
        if self.interpolate is not None:
            return "interpolation"
        if self.reconstruct:
            return "reconstruction"
        return "samples" if self.traverse is None else "traversal"


def check_request(request: SampleRequest) -> None:
    """Raise ConfigError with everything that is wrong with a request and can be seen without the run."""
    problems = [
        *_word("--split", request.split, ("train", "val", "test")),
        *_word("--checkpoint", request.checkpoint, ("best", "last")),
        *_two_modes(request),
        *_numbers(request),
        *_without_effect(request),
    ]
    if problems:
        raise ConfigError(problems)


def _word(name: str, value: str | None, allowed: tuple[str, ...]) -> list[Problem]:
    if value is None or value in allowed:
        return []
    near = nearest_name(value, allowed)
    remedy = f"Did you mean {near}?" if near else ""
    return [Problem(name, value, f"must be one of {', '.join(allowed)}", remedy, code="unknown-value")]


def _two_modes(request: SampleRequest) -> list[Problem]:
    wanted = {
        "--interpolate": request.interpolate is not None,
        "--reconstruct": request.reconstruct,
        "--traverse": request.traverse is not None,
    }
    given = [name for name, is_given in wanted.items() if is_given]
    if len(given) < 2:
        return []
    rule = f"cannot be combined with {' and '.join(given[1:])}: they are pictures of different things"
    return [Problem(given[0], "", rule, "Use one command for each.", code="cannot-combine")]


def _numbers(request: SampleRequest) -> list[Problem]:
    found = []
    for name, value, least in (
        ("--count", request.count, 1),
        ("--seed", request.seed, 0),
        ("--first", request.first, 0),
        ("--steps", request.steps, 1),
        ("--interpolate", request.interpolate, 2),
    ):
        if value is not None and value < least:
            found.append(Problem(name, str(value), f"must be at least {least}", code="out-of-range"))
    if request.guidance is not None and not 0 <= request.guidance < float("inf"):  # as task.guidance
        rule = "must be a finite number >= 0"
        found.append(Problem("--guidance", f"{request.guidance:g}", rule, "Use --guidance 2", code="out-of-range"))
    latent = request.traverse
    if latent is not None and latent != ALL and not latent.isdecimal():
        rule = f"must be the number of a latent, counted from 0, or {ALL}"
        found.append(Problem("--traverse", latent, rule, "Use --traverse all", code="invalid-value"))
    if request.between and len(request.between) != 2:
        rule = "must name two ends, separated by a comma"
        found.append(Problem("--between", ",".join(request.between), rule, "Use --between 3,7", code="invalid-value"))
    if request.interpolate is not None and len(request.rows) % 2:
        rows = " ".join(map(str, request.rows))
        found.append(
            Problem("ROW", rows, "an interpolation needs two ends", "Name another sample.", code="invalid-value")
        )
    return found


def _without_effect(request: SampleRequest) -> list[Problem]:
    """Words that belong to another mode than that of the request."""
    mode, shows_data = request.mode, bool(request.reconstruct or request.between or request.rows)
    found = []
    if request.between and request.interpolate is None:
        found.append(("--between", ",".join(request.between), "Add --interpolate 8"))
    if request.rows and mode == "samples":
        found.append(("ROW", " ".join(map(str, request.rows)), "Add --reconstruct"))
    if request.classes and (request.between or request.rows or request.reconstruct):
        found.append(("--class", ", ".join(request.classes), "Remove it: the samples of the data have their classes."))
    if request.between and request.rows:
        found.append(("ROW", " ".join(map(str, request.rows)), "Remove it, or --between."))
    if request.first and (request.reconstruct or request.rows):
        found.append(("--first", str(request.first), "Remove it."))
    if request.count is not None and request.rows:
        found.append(("-n", str(request.count), "Remove it: the ROWs say how many."))
    if request.split is not None and not shows_data and request.traverse is None:
        found.append(("--split", request.split, "Remove it: no sample of the data is used."))
    return [Problem(name, value, "has no effect here", remedy, code="no-effect") for name, value, remedy in found]
