from __future__ import annotations

from pathlib import Path

import pytest
from outside_package import own_catalog

from dlexp.config.files.catalog import Catalog
from dlexp.config.files.option_keys import key_names
from dlexp.config.schema.names import COMPONENTS, SECTION_NAMES, TOP_LEVEL_NAMES
from dlexp.config.schema.run import SECTIONS, TOP_LEVEL


@pytest.mark.parametrize("group", COMPONENTS)
def test_lines_tell_the_keys_that_yaml_tells(group: str) -> None:
    catalog = Catalog()
    assert catalog.options(group)
    for option in catalog.options(group):
        assert set(key_names(catalog.roots, group, option)) == set(catalog.keys(group, option)), option


def test_names_are_those_of_the_schema() -> None:
    assert tuple(SECTIONS) == SECTION_NAMES
    assert tuple(TOP_LEVEL) == TOP_LEVEL_NAMES


@pytest.mark.parametrize(
    "defaults", ["[_base, _self_]", "\n  - _base\n  - _self_\n  - override /loss: mse", "[_self_,_base]"]
)
def test_keys_of_extended_files_are_told(tmp_path: Path, defaults: str) -> None:
    files = {"optim/_base.yaml": "# Mine\nrho: 1\n", "optim/mine.yaml": f"defaults: {defaults}\n_target_: f\nlr : 1\n"}
    assert list(key_names(own_catalog(tmp_path, files).roots, "optim", "mine")) == ["rho", "lr"]


def test_option_that_extends_itself_or_is_not_there(tmp_path: Path) -> None:
    roots = own_catalog(tmp_path, {"optim/mine.yaml": "defaults: [mine]\nlr: 1\n"}).roots
    assert list(key_names(roots, "optim", "mine")) == ["lr"]
    assert not key_names(roots, "optim", "other")
