"""Shell completion of groups, options, dotted keys and runs; Typer completes commands and their options.

It parses no configuration and loads no validation rules, to respond quickly.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from dlexp.config.files.catalog import Catalog

EXPORT_FORMATS = ("onnx", "torch-export", "safetensors")


def overrides(context: typer.Context, incomplete: str) -> list[str]:
    """Completions GROUP=, GROUP=OPTION and KEY= of the word at the cursor."""
    catalog = _catalog(context)
    group = _group_that_bash_cut_off()
    if group:  # bash splits `model=res` into three words and replaces only the last one
        return _starting(catalog.options(group) if _is_group(group) else (), incomplete.lstrip("="))
    name, equals, start = incomplete.partition("=")
    if equals and name == "metrics":
        return _metrics(catalog, start)
    if equals:
        options = catalog.options(name) if _is_group(name) else ()
        return [f"{name}={option}" for option in _starting(options, start)]
    chosen = dict(str(word).split("=", 1) for word in _typed(context) if "=" in str(word))
    return _starting(_keys(catalog, chosen, incomplete), incomplete)


def _metrics(catalog: Catalog, start: str) -> list[str]:
    """`metrics=` followed by a name, or by a list that ends in one."""
    from dlexp.metrics.selection.catalog import CATALOG

    named = [name for known in CATALOG.values() for name in known]
    before, comma, last = start.rpartition(",")
    if not comma and start.startswith("["):
        before, last = "[", start[1:]
    elif comma:
        before += ","
    return [f"metrics={before}{name}" for name in _starting((*named, *catalog.options("metrics")), last)]


def groups(context: typer.Context, incomplete: str) -> list[str]:
    """Names of groups, and `metrics`."""
    return _starting((*_catalog(context).groups, "metrics"), incomplete)


def splits(incomplete: str) -> list[str]:
    """Names of splits."""
    return _starting(("train", "val", "test"), incomplete)


def export_formats(incomplete: str) -> list[str]:
    """Names of export formats."""
    return _starting(EXPORT_FORMATS, incomplete)


def runs(incomplete: str) -> list[str]:
    """Paths of run directories, newest first."""
    from dlexp.artifacts.runs.run_dir import newest_runs, outputs_root

    latest = outputs_root() / "latest"
    found = [str(latest)] if latest.exists() else []
    return [name for name in found + [str(path) for path in newest_runs()] if name.startswith(incomplete)]


def runs_and_studies(incomplete: str) -> list[str]:
    """Paths of run directories, newest first, then of studies."""
    from dlexp.artifacts.runs.run_dir import outputs_root

    studies = sorted(str(path.parent) for path in (outputs_root() / "tune").glob("*/study.json"))
    return [*runs(incomplete), *_starting(studies, incomplete)]


def runs_and_overrides(context: typer.Context, incomplete: str) -> list[str]:
    """Runs and overrides for the first argument, overrides for the others."""
    first = not context.params.get("run_or_overrides")
    return [*(runs(incomplete) if first else ()), *overrides(context, incomplete)]


def _keys(catalog: Catalog, chosen: Mapping[str, str], incomplete: str) -> Iterator[str]:
    """`group=` for every group; after a dot, the keys of the option selected in that group."""
    from dlexp.config.schema.names import COMPONENTS, SECTION_NAMES, TOP_LEVEL_NAMES

    head, dot, _ = incomplete.partition(".")
    if not dot:
        yield from (f"{name}=" for name in (*catalog.groups, *TOP_LEVEL_NAMES))
        yield from (f"{name}." for name in (*COMPONENTS, *SECTION_NAMES))
    elif head in SECTION_NAMES:
        from dlexp.config.schema.run import SECTIONS, section_fields

        yield from (f"{path}=" for path in section_fields(SECTIONS[head], head))
    elif head in COMPONENTS:
        option = chosen.get(head) or _default_option(catalog, head)
        yield from (f"{head}.{key}=" for key in catalog.key_names(head, option))


def _typed(context: typer.Context) -> Sequence[str]:
    """The overrides on the line so far."""
    return context.params.get("overrides") or context.params.get("run_or_overrides") or ()


def _default_option(catalog: Catalog, group: str) -> str:
    """The option of `group` in the defaults list of config.yaml."""
    path = next(root / "config.yaml" for root in catalog.roots if (root / "config.yaml").is_file())
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, option = line.strip().removeprefix("- ").partition(": ")
        if name == group:
            return option
    return ""


def _catalog(context: typer.Context) -> Catalog:
    from dlexp.config.files.catalog import Catalog

    extra = os.environ.get("DLEXP_CONFIG_DIR")
    folders = [*(context.params.get("config_dir") or ()), *([extra] if extra else [])]
    return Catalog(tuple(Path(folder) for folder in folders if Path(folder).is_dir()))


def _group_that_bash_cut_off() -> str:
    """`model` if bash has split `model=res` into `model`, `=`, `res` and the cursor is after the `=`, otherwise ""."""
    if "complete_bash" not in os.environ.get("_DLEXP_COMPLETE", ""):
        return ""
    words = os.environ.get("COMP_WORDS", "").split()
    cursor = int(os.environ.get("COMP_CWORD", "0") or 0)
    if cursor >= 1 and cursor < len(words) and words[cursor] == "=":
        return words[cursor - 1]
    if cursor >= 2 and words[cursor - 1 : cursor] == ["="]:
        return words[cursor - 2]
    return ""


def _is_group(name: str) -> bool:
    from dlexp.config.schema.names import GROUPS  # when TAB is pressed, and not for every other word of help

    return name in GROUPS


def _starting(names: Iterable[str], start: str) -> list[str]:
    return [name for name in names if name.startswith(start)]
