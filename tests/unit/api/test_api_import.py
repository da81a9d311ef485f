"""`import dlexp` is fast, exports what its types promise, and needs no command line."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import dlexp

PACKAGE = Path(dlexp.__file__).parent
_HEAVY = ("torch", "pandas", "numpy", "hydra", "rich", "typer", "matplotlib")


def started(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, check=True)


def test_an_import_loads_nothing() -> None:
    done = started("import dlexp, sys, json; print(json.dumps(sorted(sys.modules)))", "-X", "importtime")
    loaded = json.loads(done.stdout)
    assert [name for name in loaded if name.startswith("dlexp")] == ["dlexp"]
    assert not {name.partition(".")[0] for name in loaded} & set(_HEAVY)
    times = [line for line in done.stderr.splitlines() if line.startswith("import time:") and "dlexp" in line]
    assert len(times) == 1, "one module of dlexp is imported"


def test_python_needs_no_command_line() -> None:
    code = "import dlexp, sys; [getattr(dlexp, n) for n in dlexp.__all__]; print(*sorted(sys.modules))"
    loaded = set(started(code).stdout.split())
    assert "dlexp.api.training" in loaded
    assert not {name for name in loaded if name.startswith("dlexp.cli")}
    assert not loaded & {"torch", "rich", "typer", "matplotlib", "IPython"}


def test_the_stub_has_the_types_of_everything_that_is_exported() -> None:
    tree = ast.parse((PACKAGE / "__init__.pyi").read_text())
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    places = {alias.name: node.module for node in imports for alias in node.names}
    assert set(places) | {"__version__"} == set(dlexp.__all__) <= set(dir(dlexp))
    for name, place in places.items():
        found = getattr(dlexp, name)
        assert found.__module__ == place
        assert found.__doc__


def test_another_name_is_none() -> None:
    with pytest.raises(AttributeError, match="no attribute 'fit'"):
        _ = dlexp.fit  # type: ignore[attr-defined]
