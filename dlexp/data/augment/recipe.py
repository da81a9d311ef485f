"""From the words of `data.augment` to operations: a preset's name, or a list of operations with their strengths.

strong                                        a preset
[crop, flip, {rotate: 15}]                    operations in this order; a number is the first key of the operation
[{color: {brightness: 0.2, hue: 0.1}}]       several keys by name
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from dlexp.data.augment.color import Color, Gray
from dlexp.data.augment.geometry import RandomAffine, ResizedCrop, Rotate
from dlexp.data.augment.operations import LEVELS, Augmentation, Crop, Cutout, Flip, Operation, PlannedOperation
from dlexp.data.augment.policies import RandAugment, TrivialAugment
from dlexp.errors import Code, ConfigError
from dlexp.kinds import describe_kind

KEY = "data.augment"

# Names in words -> what they make. A number alone is the first key.
_OPERATIONS: Mapping[str, type[Any]] = {
    "crop": Crop,
    "flip": Flip,
    "flip_upside_down": Flip,
    "rotate": Rotate,
    "affine": RandomAffine,
    "resized_crop": ResizedCrop,
    "color": Color,
    "gray": Gray,
    "cutout": Cutout,
    "randaugment": RandAugment,
    "trivialaugment": TrivialAugment,
}
# Keys that the words do not set: they follow from the name, the data or another key.
_OWN = {
    "crop": ("flip", "size"), "resized_crop": ("size",), "flip": ("upside_down",),
    "flip_upside_down": ("upside_down",), "cutout": ("fill",),
}  # fmt: skip
# Key -> smallest and largest value of it, or of both of its numbers.
_BOUNDS: Mapping[str, tuple[float, float]] = {
    "pad": (0, 4096), "probability": (0, 1), "degrees": (0, 180), "translate": (0, 1), "shear": (0, 80),
    "brightness": (0, 10), "contrast": (0, 10), "saturation": (0, 10), "hue": (0, 0.5), "size": (0.01, 1),
    "operations": (1, 8), "magnitude": (0, 30),
}  # fmt: skip
_PAIRS: Mapping[str, tuple[float, float]] = {"scale": (0.01, 10), "ratio": (0.1, 10)}
_SHARES = (0.01, 1)  # of an image's area

_JITTER = {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2}
# What the names alone stand for; where a mirrored image is no image of its class, without the flip.
PRESETS: Mapping[str, tuple[Any, ...]] = {
    "none": (),
    "crop": ("crop",),
    "flip": ("flip",),
    "crop_flip": ("crop", "flip"),
    "standard": ("crop", "flip"),
    "strong": ("crop", "flip", {"rotate": 15.0}, {"color": _JITTER}),
    "randaugment": ("crop", "flip", "randaugment"),
    "trivialaugment": ("crop", "flip", "trivialaugment"),
    "imagenet": ("resized_crop", "flip"),
}
_AS_WRITTEN = ("flip", "crop_flip")  # presets whose name says flip have it whatever the data
_COLORS = ("saturation", "hue")
_WHOLE_PIXELS = ("crop", "flip", "flip_upside_down")  # operations that an image of another resolution can follow
_WITHOUT_WHITE = [name for name, operation in _OPERATIONS.items() if not operation.needs_white]


@dataclass(frozen=True)
class AugmentContext:
    """Properties of the images and of their targets that a recipe is fitted to.

    channels  C
    pad       largest shift of `crop` in pixels, where the words give none
    mirrors   whether a mirrored image is still one of its class
    white     what white is where they are stored; None where nothing says it: brightness is then left as it is, and
              cutout covers with 0
    mean      mean of each channel, as shares of white
    size      height and width that the network sees, where the images are stored larger; else 0
    geometry  how targets move with the images: "mask", "boxes", "image", or "" for not at all
    fill      number of a mask's pixels that come from outside of the image; those of the image are 0 there
    """

    channels: int
    pad: int
    mirrors: bool = True
    white: float | None = LEVELS
    mean: tuple[float, ...] = ()
    size: int = 0
    geometry: str = ""
    fill: int = 0


@dataclass(frozen=True)
class Recipe:
    """Operations that fit the images, and notes to show the user."""

    steps: tuple[PlannedOperation, ...] = ()
    notes: tuple[str, ...] = ()
    white: float = LEVELS
    size: int = 0
    geometry: str = ""
    fill: int = 0

    def transform(self, seed: int, epoch: int) -> Augmentation | None:
        """The changes of an epoch, None where there are none."""
        return self._with(self.steps, seed, epoch) if self.steps or self.size else None

    @property
    def unchanged(self) -> Augmentation | None:
        """The transform of evaluation: the middle of images that are stored larger; None for images as they are."""
        return self._with((), 0, 0) if self.size else None

    def _with(self, steps: tuple[PlannedOperation, ...], seed: int, epoch: int) -> Augmentation:
        return Augmentation(steps, seed, epoch, self.white, self.size, self.geometry, self.fill)


def recipe_without_images(words: str | Sequence[Any], kind: str) -> Recipe:
    """The empty recipe, for inputs of another kind than images. Raises ConfigError for words that name operations."""
    if words not in ("none", [], ()):
        rule = f"cannot be combined with {describe_kind(kind)}: augmentation is for images"
        raise ConfigError.one(KEY, _shown(words), rule, "Set data.augment=none.", code="incompatible-data")
    return Recipe()


def recipe(words: str | Sequence[Any], context: AugmentContext) -> Recipe:
    """The operations that `words` name, for images as `context` say. Raises ConfigError for words that mean none."""
    notes: list[str] = []
    if isinstance(words, str):
        named = _preset(words, context, notes)
    else:
        named = [_named(word) for word in words]
        _refuse_colors(named, context)
    if context.geometry == "image":
        _refuse_partial_pixels(named)
    made = [(name, _made(name, keys, context)) for name, keys in named]
    flips = any(name == "flip" for name, _ in made)
    if flips and not context.mirrors:
        notes.append("mirrored images may not belong to any of these classes; data.augment=standard does not mirror")
    bright = [name for name, operation in made if operation.needs_white]
    if context.white is None and bright:
        rule = f"requires images with a known white value: {' and '.join(dict.fromkeys(bright))} changes brightness"
        remedy = f"Use {', '.join(_WITHOUT_WHITE)} only, or set `white` in DataBundle.preprocessing."
        raise ConfigError.one(KEY, _shown(words), rule, remedy, code="not-supported")
    return Recipe(_steps(made), tuple(notes), context.white or LEVELS, context.size, context.geometry, context.fill)


def _preset(word: str, context: AugmentContext, notes: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """The operations of a preset for these images; those that do not apply are removed, with a note."""
    if word not in PRESETS:
        raise _unknown(word, PRESETS, "unknown preset", f"or a list of {', '.join(_OPERATIONS)}")
    parts = [_named(part) for part in PRESETS[word]]
    if not context.mirrors and word not in _AS_WRITTEN:
        parts = [(name, keys) for name, keys in parts if name != "flip"]
    if context.channels != 3:
        for _, keys in parts:
            gone = [key for key in _COLORS if keys.pop(key, None)]
            if gone:
                notes.append(f"{KEY}={word}: {' and '.join(gone)} removed, for images without colors")
    return parts


def _named(word: Any) -> tuple[str, dict[str, Any]]:
    """`crop`, `{rotate: 15}` or `{color: {hue: 0.1}}` -> the operation's name and its keys."""
    if isinstance(word, Mapping) and len(word) == 1:
        ((given, value),) = word.items()
    elif isinstance(word, str):
        given, value = word, {}
    else:
        rule = "must be the name of an operation, or one name with its strength"
        raise ConfigError.one(KEY, _shown(word), rule, "Use a list such as [crop, {rotate: 15}]", code="invalid-type")
    name = str(given)
    if name not in _OPERATIONS:
        raise _unknown(name, _OPERATIONS, "unknown operation", "")
    if isinstance(value, Mapping):
        return name, {str(key): item for key, item in value.items()}
    keys = _keys(name)
    if not keys:
        raise ConfigError.one(KEY, _shown(word), f"{name} has no strength", f"Use {name}", code="no-effect")
    return name, {keys[0]: value}


def _made(name: str, keys: Mapping[str, Any], context: AugmentContext) -> Operation:
    """The operation, with its keys checked. Raises ConfigError for a key or value that it cannot have."""
    known = _keys(name)
    for key, value in keys.items():
        if key not in known:
            raise _unknown(key, known, f"unknown key of {name}", "", code="unknown-key")
        problem = _problem(name, key, value)
        if problem:
            raise ConfigError.one(KEY, f"{name}.{key}={_shown(value)}", f"must be {problem}", code="out-of-range")
    values: dict[str, Any] = {key: tuple(value) if key in _PAIRS else value for key, value in keys.items()}
    if name == "crop":
        # Where there is more of the image than is seen, the window moves over that and not over black.
        values = {"pad": 0 if context.size else context.pad, "size": context.size} | values
    elif name == "resized_crop":
        values["size"] = context.size
    elif name == "flip_upside_down":
        values["upside_down"] = True
    elif name == "cutout":
        mean = (context.mean if context.white is not None else ()) or (0.0,)
        values["fill"] = tuple(LEVELS * share for share in mean)
    operation: Operation = _OPERATIONS[name](**values)
    return operation


def _steps(made: Sequence[tuple[str, Operation]]) -> tuple[PlannedOperation, ...]:
    """Operations with separate random numbers: adding one to a list leaves those of the others as they were."""
    steps: list[PlannedOperation] = []
    seen: dict[str, int] = {}
    for name, operation in made:
        seen[name] = count = seen.get(name, 0) + 1
        purpose = f"augment/{name}" if count == 1 else f"augment/{name}/{count}"
        before = steps[-1].operation if steps else None
        if count == 1 and name == "crop":
            steps.append(PlannedOperation(operation, "sample"))
        elif count == 1 and name == "flip" and isinstance(before, Crop) and operation == Flip():
            steps[-1] = replace(steps[-1], operation=replace(before, flip=True))
        elif count == 1 and name == "flip":
            steps.append(PlannedOperation(operation, "sample", 2))
        else:
            steps.append(PlannedOperation(operation, purpose))
    return tuple(steps)


def _refuse_colors(named: Sequence[tuple[str, Mapping[str, Any]]], context: AugmentContext) -> None:
    """Raise ConfigError for changes of color if the images have none."""
    if context.channels == 3:
        return
    for name, keys in named:
        for what in [key for key in _COLORS if keys.get(key)] + (["gray"] if name == "gray" else []):
            count = f"{context.channels} channel{'s' * (context.channels > 1)}"
            rule = f"requires images with 3 channels, got {count}"
            raise ConfigError.one(KEY, what, rule, f"Remove {what}.", code="incompatible-data")


def _refuse_partial_pixels(named: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Raise ConfigError for operations that a target image cannot follow exactly."""
    if wrong := [name for name, _ in named if name not in _WHOLE_PIXELS]:
        rule = f"cannot be combined with targets that are images, which only {', '.join(_WHOLE_PIXELS)} move exactly"
        raise ConfigError.one(KEY, ", ".join(wrong), rule, "Set data.augment=crop_flip", code="cannot-combine")


def _problem(name: str, key: str, value: Any) -> str:
    """The rule that a value breaks, "" for a valid one."""
    if key in _PAIRS:
        low, high = _SHARES if (name, key) == ("resized_crop", "scale") else _PAIRS[key]
        good = isinstance(value, list | tuple) and len(value) == 2 and all(_is_in(v, low, high) for v in value)
        return "" if good and value[0] <= value[1] else f"two increasing numbers from {low:g} to {high:g}"
    low, high = _BOUNDS[key]
    is_whole = isinstance(_default(name, key), int)
    good = _is_in(value, low, high) and not (is_whole and not isinstance(value, int))
    return "" if good else f"a {'whole ' * is_whole}number from {low:g} to {high:g}"


def _is_in(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _keys(name: str) -> tuple[str, ...]:
    own = _OWN.get(name, ())
    return tuple(key for key in inspect.signature(_OPERATIONS[name]).parameters if key not in own)


def _default(name: str, key: str) -> Any:
    """A key's default; of one without, a whole number stands for its type."""
    found = inspect.signature(_OPERATIONS[name]).parameters[key].default
    return 0 if found is inspect.Parameter.empty else found


def _unknown(given: str, known: Any, rule: str, further: str, *, code: Code = "unknown-value") -> ConfigError:
    near = get_close_matches(given, known, n=1)
    listed = f"Available: {', '.join(known)}" if known else "It has none"
    remedy = f"Did you mean {near[0]}?" if near else f"{listed}{f', {further}' if further else ''}"
    return ConfigError.one(KEY, given, rule, remedy, code=code)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else str(value).replace("'", "")
