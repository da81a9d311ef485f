"""The arguments of a call in Python as the words of a command line, and the data that it hands over.

Symbols: N samples.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlexp.config.files.catalog import Catalog
from dlexp.errors import Code, ConfigError
from dlexp.metrics.bootstrap import Resampling
from dlexp.text.quoting import text_value, value

Overrides: TypeAlias = str | Mapping[str, Any]  # "optim.lr=0.1", or {"optim.lr": 0.1}
Given: TypeAlias = "pd.DataFrame | dict[str, NDArray[Any]]"

_OPTIONS = {".parquet": "parquet", ".pq": "parquet", ".npz": "arrays", ".pt": "arrays", ".pth": "arrays"}
_TEXT = "text"  # the column of a list of texts
_KINDS = "a pandas DataFrame, a list of texts, arrays (x, y), a file, or the name of an option such as digits"


@dataclass(frozen=True)
class DataArgument:
    """The arguments `data` and `target` of a call.

    Attributes:
        words: Overrides that choose and set the data.
        given: What is handed over: a DataFrame, or arrays by name; None if the data is read from files.
    """

    words: tuple[str, ...] = ()
    given: Given | None = None


def override_words(overrides: Sequence[object]) -> tuple[str, ...]:
    """Overrides as on a command line. Raises ConfigError for other types than texts and mappings."""
    found: list[str] = []
    for item in overrides:
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, Mapping):
            found += [f"{key}={_value(content)}" for key, content in item.items()]
        else:
            rule = 'must be a text such as "optim.lr=0.1" or a dict such as {"optim.lr": 0.1}'
            raise _refused("overrides", type(item).__name__, rule, "invalid-type")
    return tuple(found)


def data_argument(data: object, target: object, words: Sequence[str], catalog: Catalog) -> DataArgument:
    """The data of a call.

    Args:
        data: A DataFrame (or what `to_pandas` makes one of), arrays (x, y) or by name, a `TensorDataset`, a path, the
            name of an option of the group `data`; None to leave it to `words`.
        target: The name of the column or array; or with a DataFrame or array of inputs alone, the targets (N,).
        words: The overrides of the same call.
        catalog: The options.

    Raises:
        ConfigError: Data of another type, a target that does not fit, or overrides that choose other data.
    """
    chosen = next((word for word in words if word.startswith("data=")), None)
    if data is not None and chosen is not None:
        rule = f"cannot be combined with the override {chosen}"
        raise ConfigError.one("data", _shown(data), rule, "Remove one of the two.", code="cannot-combine")
    if data is None or isinstance(data, str | Path):
        name = _target_word(target)
        return DataArgument((*(() if data is None else _file_words(data, catalog)), *name))
    if hasattr(data, "to_pandas"):  # a table of Arrow or polars, a data set of Hugging Face
        data = data.to_pandas()
    column: tuple[str, ...] = ()
    if _is_texts(data):
        data, column = pd.DataFrame({_TEXT: list(data)}), (f"data.text={_TEXT}",)
    if isinstance(data, pd.DataFrame):
        frame, name = _with_target(data, target)
        option = "text_dataframe" if any(word.startswith("data.text=") for word in (*words, *column)) else "dataframe"
        return DataArgument((f"data={option}", *column, *name), frame)
    arrays, name = _arrays(data, target)
    return DataArgument(("data=ndarrays", *name), arrays)


def _is_texts(data: object) -> TypeGuard[Iterable[str]]:
    """Whether this is a list, or a Series or array, of texts."""
    if not isinstance(data, list | pd.Series | np.ndarray) or getattr(data, "ndim", 1) != 1 or not len(data):
        return False
    return all(isinstance(item, str) for item in data)


def as_array(content: object) -> NDArray[Any]:
    """A NumPy array, torch tensor, pandas or nested list as a NumPy array; a bfloat16 tensor becomes float32."""
    if hasattr(content, "detach"):
        tensor: Any = content.detach().cpu()
        return np.asarray(tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor)
    if isinstance(content, pd.Series | pd.DataFrame | pd.Index):
        return np.asarray(content.to_numpy())
    found = np.asarray(content)
    return found.astype(str) if found.dtype == object and all(isinstance(v, str) for v in found.flat) else found


def _file_words(data: str | Path, catalog: Catalog) -> tuple[str, ...]:
    """The words for a path or the name of an option."""
    text = os.fspath(data)
    if isinstance(data, str) and data in catalog.options("data"):
        return (f"data={data}",)
    path = Path(text).expanduser()
    if isinstance(data, str) and not path.exists() and not path.suffix and len(path.parts) == 1:
        return (f"data={text_value(text)}",)  # refused with the nearest option
    option = "image_folder" if path.is_dir() else _OPTIONS.get(path.suffix.lower(), "csv")
    return (f"data={option}", f"data.path={text_value(str(path))}")


def _target_word(target: object) -> tuple[str, ...]:
    if target is None:
        return ()
    if not isinstance(target, str):
        rule = "must be the name of a column or array where the data is read from files"
        raise _refused("target", _shown(target), rule, "invalid-type")
    return (f"data.target={text_value(target)}",)


def _with_target(frame: pd.DataFrame, target: object) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """(the frame with its target as a column, the word that names it)."""
    if target is None or isinstance(target, str):
        return frame, _target_word(target)
    if isinstance(target, int) and target in frame.columns:  # a column that is named by a number
        return frame, _target_word(str(target))
    name = "target"
    if isinstance(target, pd.Series):
        name = str(target.name) if target.name is not None else name
        if len(target) == len(frame) and not target.index.equals(frame.index):
            remedy = "Give both the same index, or pass target=target.to_numpy() to match them by position."
            raise _refused("target", _shown(target), f"has another index than data. {remedy}", "invalid-value")
    values = target if isinstance(target, pd.Series) else as_array(target)
    if values.ndim != 1 or len(values) != len(frame):
        rule = f"must have one value for each of the {len(frame):,} rows of data, got {_shown(target)}"
        raise _refused("target", "", rule, "invalid-value")
    if name in map(str, frame.columns):
        if isinstance(target, pd.Series) and target.equals(frame[target.name]):
            return frame, _target_word(name)
        rule = f"data already has a column {name!r}. Pass its name: target={name!r}"
        raise _refused("target", _shown(target), rule, "invalid-value")
    return frame.assign(**{name: np.asarray(values) if not isinstance(values, pd.Series) else values}), (
        _target_word(name)
    )


def _arrays(data: object, target: object) -> tuple[dict[str, NDArray[Any]], tuple[str, ...]]:
    """(the arrays by name, the word that names the targets)."""
    name: tuple[str, ...] = ()
    if target is None or isinstance(target, str):
        name = _target_word(target)
        if hasattr(data, "tensors"):  # torch's TensorDataset
            data = tuple(data.tensors)
    else:
        data = (data, target)
    if isinstance(data, tuple | list) and len(data) == 2:
        data = {"x": data[0], "y" if not isinstance(target, str) else target: data[1]}
    if not isinstance(data, Mapping):
        rule = f"must be {_KINDS}, got {_shown(data)}"
        is_alone = isinstance(data, np.ndarray) or hasattr(data, "detach")
        rule += ". Pass the targets too: data=(x, y)" if is_alone else ""
        raise _refused("data", "", rule, "invalid-type")
    return {str(key): as_array(content) for key, content in data.items()}, name


def _value(content: Any) -> str:
    """A value in the grammar of overrides; texts stay as they are, so that `{"model": "mlp"}` is `model=mlp`."""
    if isinstance(content, np.generic):
        content = content.item()
    return value(str(content) if isinstance(content, Path) else content)


def _shown(content: object) -> str:
    """An object in a message: its type, and its shape if it has one."""
    if isinstance(content, str | Path):
        return str(content)
    shape = getattr(content, "shape", None)
    return type(content).__name__ + (f" of shape {tuple(shape)}" if shape is not None else "")


def _refused(where: str, given: str, rule: str, code: Code) -> ConfigError:
    return ConfigError.one(where, given, rule, code=code)


def resampling_of(resamples: int, level: float) -> Resampling:
    """How the intervals of an evaluation are made. Raises ConfigError for settings that give none."""
    if not 0 < level < 1:
        raise ConfigError.one("level", level, "must be between 0 and 1", "Use 0.95.", code="out-of-range")
    if resamples and resamples < 100:
        rule = "must be 0 (no intervals) or at least 100"
        raise ConfigError.one("resamples", resamples, rule, code="too-few-samples")
    return Resampling(resamples, level)
