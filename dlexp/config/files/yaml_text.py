"""Plain values as YAML text, which OmegaConf and Hydra read back as the same values."""

from __future__ import annotations

from typing import Any

import yaml

_Base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the one in C takes a tenth of the time
_BOOLEANS = {"y", "yes", "n", "no", "true", "false", "on", "off"}


def yaml_text(value: Any) -> str:
    """The text of dictionaries, lists, strings, numbers, booleans and None, in their order; floats keep every digit."""
    text: str = yaml.dump(value, default_flow_style=False, allow_unicode=True, sort_keys=False, Dumper=_Dumper)
    return text


class _Dumper(_Base):  # type: ignore[misc]
    """Writes what occurs twice twice, and quotes a string that a reader may take for another value."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _string(dumper: Any, value: str) -> Any:
    style = "'" if value.lower() in _BOOLEANS or _reads_as_number(value) else None
    return dumper.represent_scalar(yaml.resolver.BaseResolver.DEFAULT_SCALAR_TAG, value, style=style)


def _reads_as_number(value: str) -> bool:
    """Whether Python reads a number: OmegaConf does in `1e-3`, which is a string in YAML 1.1."""
    try:
        float(value)
    except ValueError:
        return False
    return True


_Dumper.add_representer(str, _string)
