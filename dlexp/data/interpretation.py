"""A one-line summary of the data: target, inputs and columns that are left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dlexp.data.bundle import DataBundle
from dlexp.data.images.decoding import printable_name
from dlexp.data.tables.features.encodings import CategoryColumn, DateColumn, HashColumn, encoded_columns
from dlexp.kinds import describe_kind
from dlexp.sequence_specs import NextTokenSpec, TokenSpec
from dlexp.specs import ClassSpec, ImageSpec, TableSpec, ValueSpec
from dlexp.text.vocabulary import PLURALS, Vocabulary

_NAMED = 10  # names up to which all are listed; of more, the first five and their number
_SHOWN_OF_MANY = 5
_LONGEST = 30  # characters of a name
_PARTS = {"elapsed": "elapsed days"}  # words for parts of a date


def interpretation(bundle: DataBundle, task: str = "", dropped: Sequence[str] = ()) -> str:
    """`classification of y, 2 classes: 0, 1; 7 numbers, 1 date (when: year, month); left out: id (numbers the rows)`.

    task     name of a task other than classification and regression, "" for these
    dropped  columns that data.columns drops
    """
    left_out = {**dict.fromkeys(dropped, ""), **bundle.omitted}
    parts = [_goal(bundle, task), _inputs(bundle)]
    if left_out:
        parts.append(f"left out: {_shortened([_name(n) + f' ({why})' * bool(why) for n, why in left_out.items()])}")
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
    if isinstance(inputs, TokenSpec) and inputs.vocabulary is not None:
        return _texts(bundle, inputs, inputs.vocabulary)
    return describe_kind(inputs.kind)


def _texts(bundle: DataBundle, inputs: TokenSpec, vocabulary: Vocabulary) -> str:
    columns = list(bundle.preprocessing.get("text", ()))
    of = f" of {_names(columns)}" if columns else ""
    unit = PLURALS[vocabulary.unit]
    if isinstance(bundle.spec.targets, NextTokenSpec):
        return f"windows of {inputs.max_length:,} {unit}, {len(vocabulary):,} in the vocabulary"
    return f"texts{of}: at most {inputs.max_length:,} {unit}, {len(vocabulary):,} in the vocabulary"


def _columns(bundle: DataBundle) -> Iterator[str]:
    fitted = encoded_columns(bundle.preprocessing)
    dates = [fit for fit in fitted if isinstance(fit, DateColumn)]
    categories = [fit.name for fit in fitted if isinstance(fit, CategoryColumn | HashColumn)]
    numbers = len(fitted) - len(categories) - len(dates)
    if numbers:
        yield f"{numbers:,} number{'' if numbers == 1 else 's'}"
    if categories:
        yield f"{len(categories):,} categor{'y' if len(categories) == 1 else 'ies'} ({_names(categories)})"
    if dates:
        parts = [
            f"{_name(fit.name)}: {', '.join(_PARTS.get(one.part, one.part) for one in fit.parts)}" for fit in dates
        ]
        yield f"{len(dates):,} date{'' if len(dates) == 1 else 's'} ({_shortened(parts, '; ')})"


def _names(names: Sequence[str]) -> str:
    return _shortened(list(map(_name, names)))


def _shortened(texts: Sequence[str], between: str = ", ") -> str:
    if len(texts) <= _NAMED:
        return between.join(texts)
    return between.join(texts[:_SHOWN_OF_MANY]) + f"{between}... and {len(texts) - _SHOWN_OF_MANY:,} more"


def _name(name: str) -> str:
    """The name, printable and truncated; in quotes if it is blank or has a comma."""
    text = printable_name(name) if name.strip() and "," not in name else repr(name)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
