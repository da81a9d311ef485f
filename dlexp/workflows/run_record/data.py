"""What a run kept of its data, read again: the spec and the preprocessing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dlexp.config.nodes import resolve
from dlexp.config.schema.run import RunConfig
from dlexp.data.preprocess import Preprocess
from dlexp.errors import ConfigError, DlexpError
from dlexp.specs import DataSpec


def spec_of(values: Mapping[str, Any], config: RunConfig, trusted: Sequence[str]) -> DataSpec:
    """The spec that a run wrote down. Raises DlexpError for one that cannot be read.

    A kind of the user's own is defined by the package of the data set or of the model, which is imported for it.
    """
    try:
        return DataSpec.from_plain(values)
    except (ValueError, KeyError, TypeError, AttributeError):
        for node in (config.data, config.model, config.task):
            _import(node.target, trusted)
    try:
        return DataSpec.from_plain(values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise DlexpError(f"the description of the data cannot be read: {what}", code="corrupted") from error


def preprocess_of(values: Mapping[str, Any]) -> Preprocess:
    """The preprocessing that a run wrote down. Raises DlexpError for one that cannot be read."""
    try:
        return Preprocess.from_plain(values)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise DlexpError(f"the preprocessing of the data cannot be read: {what}", code="corrupted") from error


def _import(target: str, trusted: Sequence[str]) -> None:
    """Import the module of a component, where that is allowed."""
    try:
        resolve(target, trusted)
    except ConfigError:
        return
