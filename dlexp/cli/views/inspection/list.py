"""The output of `dlexp list`, without importing rich."""

from __future__ import annotations

from collections.abc import Mapping

from dlexp.cli.style import echo, styled


def options(groups: Mapping[str, Mapping[str, str]]) -> None:
    """Print the options of each group with their descriptions."""
    for name, described in groups.items():
        echo(styled(name, bold=True))
        width = max((len(option) for option in described), default=0)
        for option, description in described.items():
            echo(f"  {option:<{width}}  {styled(description, dim=True)}")
