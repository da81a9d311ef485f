"""A file given with --config: its text as YAML nodes, or an error that says what it is instead."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from dlexp.artifacts.files.reading import open_stream
from dlexp.config.files.words import STANDARD_INPUT, STANDARD_INPUT_NAME
from dlexp.config.files.yaml_files import MAX_BYTES, node_of
from dlexp.errors import Code, ConfigError, Problem, reason_of
from dlexp.text.nearest import nearest_name
from dlexp.text.quoting import command, setting, shell_word

_OPTION = "--config"
_YAML = (".yaml", ".yml", ".json")
_TABLES = (".csv", ".tsv", ".parquet", ".xlsx", ".jsonl", ".feather", ".npz")
_WEIGHTS = (".pt", ".pth", ".ckpt", ".safetensors", ".bin", ".onnx")
_TOML = re.compile(r"^\s*(\[+[\w.\-\"]+\]+\s*$|[\w.\-]+ *= *\S)", re.MULTILINE)
_SOURCES = re.compile(r"\s*key +value +from\s*$")  # the first line of dlexp config --sources
_INDENTED_TAB = re.compile(r"^ *\t")


@dataclass(frozen=True)
class GivenFile:
    """A configuration file of the command line.

    Attributes:
        name: The file as typed; `standard input` for `-`.
        root: Its content, a mapping or a list.
    """

    name: str
    root: yaml.MappingNode | yaml.SequenceNode

    def place(self, node: yaml.Node) -> str:
        """Return `file:line` of a node."""
        return f"{self.name}:{node.start_mark.line + 1}"


def read_given(path: Path) -> GivenFile:
    """Return the configuration file at `path`, `-` for standard input.

    Raises ConfigError for a file that is missing, not text, not YAML, or of another kind, such as a table.
    """
    name = STANDARD_INPUT_NAME if str(path) == STANDARD_INPUT else str(path)
    text = _text(path)
    try:
        root = node_of(text, name)
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError([_not_yaml(name, text, error)]) from error
    if not isinstance(root, yaml.MappingNode | yaml.SequenceNode) or _is_sources(root):
        raise ConfigError([_not_a_configuration(name, "" if root is None else text)])
    return GivenFile(name, root)


def _text(path: Path) -> str:
    if path.is_dir():
        raise ConfigError([_folder(path)])
    if path.suffix.lower() in (*_TABLES, *_WEIGHTS):
        raise ConfigError([_other_kind(path)])
    try:
        if str(path) == STANDARD_INPUT:
            content = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with open_stream(path.expanduser()) as file:
                content = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigError([_not_found(path)]) from error
    except OSError as error:
        raise ConfigError.one(_OPTION, path, f"cannot be read: {reason_of(error)}", code="system-error") from error
    if len(content) > MAX_BYTES:
        rule = f"must have at most {MAX_BYTES:,} bytes"
        raise ConfigError.one(_OPTION, path, rule, "Give the YAML file of a configuration.", code="too-large")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise ConfigError([_other_kind(path, content, error)]) from error


def _not_found(path: Path) -> Problem:
    folder = path.expanduser().parent
    try:
        names = [entry.name for entry in folder.iterdir() if entry.is_dir() or entry.suffix in _YAML]
    except OSError:
        names = []
    near, rule = nearest_name(path.name, names), "file not found"
    files = sorted(name for name in names if name.endswith(_YAML))
    remedy = f"Did you mean --config {shell_word(str(path.parent / near))}?" if near else ""
    if str(path).startswith(("http:/", "https:/")):
        rule = "is an address, not a file"
        remedy = "Download it, read it, and give the file: curl -o colleague.yaml ADDRESS"
    elif not near and not folder.is_dir() and "=" not in str(path):
        rule, remedy = f"file not found: there is no directory {folder}", "Correct the name of the directory."
    elif not near and "=" in str(path):
        remedy = f"Leave --config out: {shell_word(str(path))} is a word of the configuration."
    elif not near and files:
        remedy = f"The YAML files of {folder} are {', '.join(files[:8])}{', ...' if len(files) > 8 else ''}"
    elif not near:
        remedy = f"Write one: dlexp config > {shell_word(str(path))}"
    return Problem(_OPTION, str(path), rule, remedy, code="not-found")


def _folder(path: Path) -> Problem:
    if (path / "config.yaml").is_file():
        config = shell_word(str(path / "config.yaml"))
        remedy = f"Add --config {config}, or repeat the run: {command('train', '--from', path)}"
    else:
        remedy = f"Name a file in it, or add its options with --config-dir {shell_word(str(path))}"
    return Problem(_OPTION, str(path), "is a directory, not a YAML file", remedy, code="invalid-value")


def _other_kind(path: Path, content: bytes = b"", error: UnicodeDecodeError | None = None) -> Problem:
    """Return the problem of a table, of weights or of a file in another encoding."""
    suffix = path.suffix.lower()
    code: Code = "invalid-value"
    if suffix in _TABLES:
        source = {".parquet": "parquet", ".npz": "arrays"}.get(suffix, "csv")
        rule, remedy = "is a data file", f"Train on it: dlexp train data={source} {setting('data.path', str(path))}"
    elif suffix in _WEIGHTS or b"\0" in content[:4096] or error is None:
        rule = "is a binary file, such as a checkpoint"
        remedy = f"Start from its weights with {setting('init_from', str(path))}"
    else:
        code = "invalid-syntax"
        line = content[: error.start].count(b"\n") + 1
        rule = f"must be UTF-8 text; line {line} is not"
        remedy = f"Convert it: iconv -f LATIN1 -t UTF-8 {shell_word(str(path))}"
    return Problem(_OPTION, str(path), rule, remedy, code=code)


def _not_yaml(name: str, text: str, error: BaseException) -> Problem:
    """Return the problem of a text that is not YAML, with line and column."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = mark.line + 1 if mark is not None else 1
    place = f"{name}:{line}"
    if _is_toml(name, text):
        return _toml(name, place)
    lines = text.split("\n")
    shown = lines[line - 1] if line <= len(lines) else ""
    tab = next((n for n, row in enumerate(lines, start=1) if _INDENTED_TAB.match(row)), None)
    if tab is not None and tab <= line:
        rule, remedy = "must be indented with spaces: a tab is not allowed in YAML", "Replace the tabs by spaces."
        return Problem(_OPTION, name, rule, remedy, f"{name}:{tab}", code="invalid-syntax")
    what = " ".join(str(getattr(error, "problem", None) or error).split())
    column = f", column {mark.column + 1}" if mark is not None else ""
    rule = f"invalid YAML in line {line}{column}: {what}"
    remedy = f"Correct this line: {shown.strip()[:80]}" if shown.strip() else ""
    if "mapping values are not allowed" in what:
        remedy = f"Quote a value with a colon, and write one KEY: VALUE per line: {shown.strip()[:80]}"
    return Problem(_OPTION, name, rule, remedy, place, code="invalid-syntax")


def _is_toml(name: str, text: str) -> bool:
    return name.lower().endswith((".toml", ".ini", ".cfg")) or len(_TOML.findall(text)) >= 2


def _toml(name: str, place: str) -> Problem:
    rule = "is TOML or INI; a configuration is YAML or JSON"
    return Problem(
        _OPTION, name, rule, "Write `optim.lr: 0.1`, or `lr: 0.1` below `optim:`", place, code="not-supported"
    )


def _is_sources(root: yaml.Node) -> bool:
    """Return whether a list is the output of `dlexp config --sources --json`."""
    first = root.value[0] if isinstance(root, yaml.SequenceNode) and root.value else None
    return isinstance(first, yaml.MappingNode) and {str(key.value) for key, _ in first.value} == {
        "key",
        "value",
        "origin",
    }


def _not_a_configuration(name: str, text: str) -> Problem:
    """Return the problem of YAML that is neither a mapping nor a list of overrides."""
    first = next((line for line in text.split("\n") if line.strip()), "")
    if not first:
        rule, remedy = "is empty", "Write KEY: VALUE lines, such as optim.lr: 0.1"
        return Problem(_OPTION, name, rule, remedy, code="missing-value")
    if _SOURCES.match(first) or text.lstrip().startswith("["):
        rule = "is the output of dlexp config --sources, which is for reading"
        return Problem(
            _OPTION, name, rule, "Write the file without --sources: dlexp config > my.yaml", code="not-supported"
        )
    place = f"{name}:1"
    if " = " not in text and all("=" in word for word in text.split()):
        rule, remedy = "must be a list of words", f"Begin each line with a dash: - {text.split()[0]}"
    elif _is_toml(name, text):
        return _toml(name, place)
    elif "," in first and name != STANDARD_INPUT_NAME:
        rule, remedy = (
            "has no keys, and looks like a table",
            f"Train on it: dlexp train data=csv {setting('data.path', name)}",
        )
    else:
        rule, remedy = "must have KEY: VALUE lines, or a list of KEY=VALUE words", "Write optim.lr: 0.1"
    return Problem(_OPTION, name, rule, remedy, place, code="invalid-syntax")
