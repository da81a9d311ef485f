"""Shell completion of groups, options, dotted keys and runs; Typer completes commands and their options.

It parses no configuration and loads no validation rules, to respond quickly.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from dlexp.config.files.catalog import Catalog

# Keys whose value is a column of the table, or a list of columns.
_COLUMN_KEYS = ("data.target", "data.group", "data.time", "data.split_column")
EXPORT_FORMATS = ("onnx", "torch-export", "safetensors")


def overrides(context: typer.Context, incomplete: str) -> list[str]:
    """Completions GROUP=, GROUP=OPTION and KEY= of the word at the cursor."""
    catalog, chosen = _catalog(context), _chosen(context)
    name = _name_that_bash_cut_off()
    if name:  # bash splits `model=res` into three words and replaces only the last one
        return _quoted_for_bash(values(catalog, chosen, name, incomplete.lstrip("=")))
    name, equals, start = incomplete.partition("=")
    if equals and name == "metrics":
        return _metrics(catalog, start)
    if equals:
        return [f"{name}={value}" for value in values(catalog, chosen, name, start)]
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


def keys(context: typer.Context, incomplete: str) -> list[str]:
    """Dotted keys, for options whose value is a key."""
    found = [key.removesuffix("=") for key in _keys(_catalog(context), _chosen(context), incomplete)]
    return _starting(found, incomplete)


def groups(context: typer.Context, incomplete: str) -> list[str]:
    """Names of groups, and `metrics`."""
    return _starting((*_catalog(context).groups, "metrics"), incomplete)


def splits(incomplete: str) -> list[str]:
    """Names of splits."""
    return _starting(("train", "val", "test"), incomplete)


def export_formats(incomplete: str) -> list[str]:
    """Names of export formats."""
    return _starting(EXPORT_FORMATS, incomplete)


def prune_scopes(incomplete: str) -> list[str]:
    """Names of the scopes of pruning."""
    return _starting(("layer", "global"), incomplete)


def prune_norms(incomplete: str) -> list[str]:
    """Names of the norms of channels."""
    return _starting(("l1", "l2"), incomplete)


def rank_rules(incomplete: str) -> list[str]:
    """Names of the rules that choose a rank."""
    return _starting(("size", "energy"), incomplete)


def quantize_modes(incomplete: str) -> list[str]:
    """Names of the modes of quantization."""
    return _starting(("dynamic", "static", "int8"), incomplete)


def explain_methods(incomplete: str) -> list[str]:
    """Names of the methods of `dlexp explain`."""
    from dlexp.workflows.explain.request import METHODS

    return _starting(tuple(METHODS), incomplete)


def runs(incomplete: str) -> list[str]:
    """Paths of run directories, newest first."""
    from dlexp.artifacts.runs.run_dir import newest_runs, outputs_root

    latest = outputs_root() / "latest"
    found = [str(latest)] if latest.exists() else []
    return [name for name in found + [str(path) for path in newest_runs()] if name.startswith(incomplete)]


def run_ids(incomplete: str) -> list[str]:
    """Names of the directories in outputs/train, newest first."""
    from dlexp.artifacts.runs.run_dir import newest_runs, outputs_root

    folder = outputs_root() / "train"
    return _starting([path.name for path in newest_runs() if path.parent == folder], incomplete)


def checkpoints(incomplete: str) -> list[str]:
    """Names of checkpoints."""
    return _starting(("best", "last"), incomplete)


def runs_and_studies(incomplete: str) -> list[str]:
    """Paths of run directories, newest first, then of studies."""
    from dlexp.artifacts.runs.run_dir import outputs_root

    studies = sorted(str(path.parent) for path in (outputs_root() / "tune").glob("*/study.json"))
    return [*runs(incomplete), *_starting(studies, incomplete)]


def runs_and_overrides(context: typer.Context, incomplete: str) -> list[str]:
    """Runs and overrides for the first argument, overrides for the others."""
    first = not context.params.get("run_or_overrides")
    return [*(runs(incomplete) if first else ()), *overrides(context, incomplete)]


def values(catalog: Catalog, chosen: Mapping[str, str], name: str, start: str) -> list[str]:
    """Values of a group or key that begin with `start`: options, choices, booleans, columns, runs.

    Args:
        catalog: The available options.
        chosen: The overrides on the line.
        name: The group or key.
        start: What has been typed; of a list, its last item is completed.
    """
    from dlexp.text.quoting import text_value

    if _is_group(name):
        return _starting(catalog.options(name), start)
    if name == "init_from":
        return runs(start)
    begun, comma, item = start.rpartition(",") if "," in start else ("", "", start)
    bracket = "[" if not comma and item.startswith("[") else ""
    before, item = begun + comma + bracket, item.removeprefix(bracket)
    found = map(text_value, _columns(chosen)) if name in _COLUMN_KEYS else _choices(catalog, name)
    return [before + text for text in found if text.strip('"').startswith(item.strip('"'))]


def _columns(chosen: Mapping[str, str]) -> list[str]:
    """The columns of the table that data.path on the line names; [] without one."""
    if not chosen.get("data.path"):
        return []
    from dlexp.data.tables.column_names import column_names  # numpy, only where columns are completed

    separator = chosen.get("data.separator", "auto").strip("\"'")
    return column_names(Path(chosen["data.path"].strip("\"'")).expanduser(), separator)


def _choices(catalog: Catalog, key: str) -> list[str]:
    """The words that a key allows."""
    from dlexp.config.schema.names import COMPONENTS, SECTION_NAMES
    from dlexp.config.schema.run import SECTIONS, TOP_LEVEL, section_fields

    head, _, rest = key.partition(".")
    field = TOP_LEVEL.get(key)
    if head in SECTION_NAMES:
        field = section_fields(SECTIONS[head], head).get(key)
    elif head in COMPONENTS:
        field = catalog.fields(head).get(rest)
    if field is None:
        return []
    flags = ("true", "false") if field.type == "bool" else ()
    return [str(word) for word in (*flags, *field.choices, *field.words, *(("null",) if field.nullable else ()))]


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


def _chosen(context: typer.Context) -> dict[str, str]:
    """The overrides on the line so far, key -> value; in bash from its words, which it splits at =."""
    names = ("overrides", "run_or_overrides", "inputs")
    typed = [str(word) for name in names for word in context.params.get(name) or ()]
    if _is_bash():
        typed = _joined_at_equals(_bash_words()[0])
    return dict(word.split("=", 1) for word in typed if "=" in word)


def _joined_at_equals(words: Sequence[str]) -> list[str]:
    """The words of a line that bash has split at =."""
    found: list[str] = []
    for position, word in enumerate(words):
        goes_on = word.startswith("=") or (position > 0 and words[position - 1] == "=")
        if found and goes_on:
            found[-1] += word
        else:
            found.append(word)
    return found


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
    from dlexp.config.files.own_folders import own_folders

    folders = own_folders(context.params.get("config_dir") or ())
    return Catalog(tuple(folder for folder in folders if folder.is_dir()))


def _is_bash() -> bool:
    return "complete_bash" in os.environ.get("_DLEXP_COMPLETE", "") and os.environ.get("_DLEXP_SHELL") != "zsh"


def _bash_words() -> tuple[list[str], int]:
    """The words of bash, and the position of the cursor among them."""
    text = os.environ.get("COMP_WORDS", "")
    words = text.split("\n") if "\n" in text else text.split()
    return words, int(os.environ.get("COMP_CWORD", "0") or 0)


def _name_that_bash_cut_off() -> str:
    """`model` if bash has split `model=res` into `model`, `=`, `res` and the cursor is after the `=`, otherwise ""."""
    if not _is_bash():
        return ""
    words, cursor = _bash_words()
    if cursor >= 1 and cursor < len(words) and words[cursor] == "=":
        return words[cursor - 1]
    if cursor >= 2 and words[cursor - 1 : cursor] == ["="]:
        return words[cursor - 2]
    return ""


def _quoted_for_bash(found: Iterable[str]) -> list[str]:
    """Completions with the signs escaped that bash would read; other shells do it themselves."""
    return [re.sub(r"([^\w@%+=:,./-])", r"\\\1", text) for text in found]


def _is_group(name: str) -> bool:
    from dlexp.config.schema.names import GROUPS  # when TAB is pressed, and not for every other word of help

    return name in GROUPS


def _starting(names: Iterable[str], start: str) -> list[str]:
    return [name for name in names if name.startswith(start)]
