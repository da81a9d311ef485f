"""A one-line summary of the data: target, inputs and dropped columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dlexp.data.bundle import DataBundle
from dlexp.data.images.decoding import printable_name
from dlexp.data.tables.encoding import CategoryColumn, encoded_columns
from dlexp.kinds import describe_kind
from dlexp.specs import ClassSpec, ImageSpec, TableSpec, ValueSpec

_NAMED = 10  # names up to which all are listed; of more, the first five and their number
_SHOWN_OF_MANY = 5
_LONGEST = 30  # characters of a name


def interpretation(bundle: DataBundle, task: str = "", dropped: Sequence[str] = ()) -> str:
    """`classification of y, 3 classes: 0, 1, 2; 7 numbers, 2 categories (city, plan); dropped: id`.

    task     name of a task other than classification and regression, "" for these
    dropped  columns in data.drop
    """
    left_out = list(dict.fromkeys((*dropped, *bundle.omitted)))
    parts = [_goal(bundle, task), _inputs(bundle)]
    if left_out:
        parts.append(f"dropped: {_names(left_out)}")
    return "; ".join(parts)


def _goal(bundle: DataBundle, task: str) -> str:
    targets = bundle.spec.targets
    target = f" of {_name(bundle.target)}" if bundle.target else ""
    if isinstance(targets, ClassSpec):
        return f"{task or 'classification'}{target}, {targets.num_outputs:,} classes: {_names(targets.names)}"
    if not isinstance(targets, ValueSpec):
        kind = describe_kind(bundle.spec.target_kind)
        return f"{task}{target}, {kind}" if task else f"{kind}{target}"
    values = f", {targets.num_outputs:,} values: {_names(targets.names)}" if targets.num_outputs > 1 else ""
    if not target and targets.num_outputs == 1:
        target = f" of {_name(targets.names[0])}"
    return f"{task or 'regression'}{target}{values}"


def _inputs(bundle: DataBundle) -> str:
    inputs = bundle.spec.inputs
    if isinstance(inputs, ImageSpec):
        return f"images {' x '.join(map(str, inputs.shape))}"
    if isinstance(inputs, TableSpec):
        return ", ".join(_columns(bundle)) or f"{inputs.num_features:,} number{'' if inputs.num_features == 1 else 's'}"
    return describe_kind(inputs.kind)


def _columns(bundle: DataBundle) -> Iterator[str]:
    fitted = encoded_columns(bundle.preprocessing)
    categories = [fit.name for fit in fitted if isinstance(fit, CategoryColumn)]
    numbers = len(fitted) - len(categories)
    if numbers:
        yield f"{numbers:,} number{'' if numbers == 1 else 's'}"
    if categories:
        yield f"{len(categories):,} categor{'y' if len(categories) == 1 else 'ies'} ({_names(categories)})"


def _names(names: Sequence[str]) -> str:
    if len(names) <= _NAMED:
        return ", ".join(map(_name, names))
    return ", ".join(map(_name, names[:_SHOWN_OF_MANY])) + f", ... and {len(names) - _SHOWN_OF_MANY:,} more"


def _name(name: str) -> str:
    """The name, printable and truncated; in quotes if it is blank or has a comma."""
    text = printable_name(name) if name.strip() and "," not in name else repr(name)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
