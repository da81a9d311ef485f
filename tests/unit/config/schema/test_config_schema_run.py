from __future__ import annotations

import pytest

from dlexp.config.schema.names import COMPONENTS
from dlexp.config.schema.regularization import RegularizationConfig
from dlexp.config.schema.run import OWN_KEYS, SECTIONS, TOP_LEVEL, section_defaults, section_fields, section_from


@pytest.mark.parametrize("name", SECTIONS)
def test_defaults_of_a_section_keep_its_own_rules(name: str) -> None:
    rules = section_fields(SECTIONS[name], name)
    defaults = section_defaults(SECTIONS[name])
    assert rules
    for path, field in rules.items():
        value = defaults
        for part in path.split(".")[1:]:
            value = value[part]
        assert field.accepts(value), path
        assert field.help, path


def test_every_run_level_key_has_help() -> None:
    assert all(field.help for field in TOP_LEVEL.values())


def test_section_is_built_with_the_sections_inside_it() -> None:
    values = section_defaults(RegularizationConfig)
    values["early_stopping"]["patience"] = 4
    built = section_from(RegularizationConfig, values)
    assert isinstance(built, RegularizationConfig)
    assert built.early_stopping.patience == 4
    assert built.l1 == 0.0


def test_own_keys_belong_to_components() -> None:
    assert set(OWN_KEYS) <= set(COMPONENTS)
