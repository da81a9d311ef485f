"""Specs with the type that a test expects of them."""

from __future__ import annotations

from dlexp.data.preprocess import Affine, Preprocess
from dlexp.specs import ClassSpec, DataSpec, TableSpec, ValueSpec


def classes_of(spec: DataSpec) -> ClassSpec:
    """The targets of data with classes."""
    assert isinstance(spec.targets, ClassSpec)
    return spec.targets


def values_of(spec: DataSpec) -> ValueSpec:
    """The targets of data with values."""
    assert isinstance(spec.targets, ValueSpec)
    return spec.targets


def table_of(spec: DataSpec) -> TableSpec:
    """The inputs of a table."""
    assert isinstance(spec.inputs, TableSpec)
    return spec.inputs


def affine_of(preprocess: Preprocess) -> Affine:
    """The preprocessing of numbers."""
    assert isinstance(preprocess, Affine)
    return preprocess
