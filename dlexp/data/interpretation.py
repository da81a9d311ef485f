"""What was made of the data, in one line: what is learnt, from which inputs, and what is not read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dlexp.data.bundle import DataBundle
from dlexp.data.images.decoding import shown
from dlexp.data.tables.encoding import CategoryColumn, columns_of

_NAMED = 10  # names that the line lists; of more it lists five, and their number
_SHOWN_OF_MANY = 5
_LONGEST = 30  # characters of a name


def interpretation(bundle: DataBundle, task: str = "", dropped: Sequence[str] = ()) -> str:
    """`classification of y, 3 classes: 0, 1, 2; 7 numbers, 2 categories (city, plan); left out: id`.

    task     name of a task that is neither classification nor regression, "" for one of these
    dropped  columns that the user leaves out
    """
    left_out = list(dict.fromkeys((*dropped, *bundle.omitted)))
    parts = [_goal(bundle, task), _inputs(bundle)]
    if left_out:
        parts.append(f"left out: {_names(left_out)}")
    return "; ".join(parts)


def _goal(bundle: DataBundle, task: str) -> str:
    spec = bundle.spec
    target = f" of {_name(bundle.target)}" if bundle.target else ""
    if spec.targets == "class":
        count = f", {spec.num_outputs:,} classes"
        return f"{task or 'classification'}{target}{count}" + (
            f": {_names(spec.class_names)}" if spec.class_names else ""
        )
    values = f", {spec.num_outputs:,} values: {_names(spec.target_names)}" if spec.num_outputs > 1 else ""
    if not target and spec.num_outputs == 1 and spec.target_names:
        target = f" of {_name(spec.target_names[0])}"
    return f"{task or 'regression'}{target}{values}"


def _inputs(bundle: DataBundle) -> str:
    shape = bundle.spec.input_shape
    if bundle.spec.inputs == "image":
        return f"images {' x '.join(map(str, shape))}"
    return ", ".join(_columns(bundle)) or f"{shape[0]:,} number{'' if shape[0] == 1 else 's'}"


def _columns(bundle: DataBundle) -> Iterator[str]:
    fitted = columns_of(bundle.preprocessing)
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
    """As it can be printed in a line; a blank one, and one with a comma, in quotes."""
    text = shown(name) if name.strip() and "," not in name else repr(name)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
