"""`dlexp predict`: words to questions, and answers to a file or a pipe; what is said goes to standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any

import typer

from dlexp.artifacts.files.reading import open_stream
from dlexp.cli.commands.results.evaluate import check_checkpoint, evaluation_changes
from dlexp.cli.console import err, escape, print_json
from dlexp.errors import ConfigError, DataError
from dlexp.report.number_format import counted

_BAD = DataError.exit_code


@dataclass(frozen=True)
class Files:
    """Where samples come from and answers go to, as typed."""

    words: tuple[str, ...]
    names: str | None
    out: Path | None
    format: str | None
    force: bool


@dataclass(frozen=True)
class PredictWords:
    """The other words of `dlexp predict`."""

    files: Files
    checkpoint: str
    batch_size: int | None
    probabilities: bool
    top: int
    ignore_extra: bool
    separator: str | None


@dataclass(frozen=True)
class Manner:
    """Who is trusted, and how much is said."""

    trust: tuple[str, ...]
    allow_changes: bool
    quiet: bool
    as_json: bool


def predict(run: str, words: PredictWords, manner: Manner) -> None:
    """Predict and tell how many items were bad; the process ends with 3 when there was one."""
    inputs, changes = _split(words.files.words)
    if words.batch_size is not None:
        changes["data.eval_batch_size"] = words.batch_size
    _refuse(words, inputs)
    from dlexp.artifacts.files.row_writer import Collected, format_of, rows_to
    from dlexp.artifacts.runs.run_dir import RunDir, named_run
    from dlexp.config.nodes import trusted_packages

    files = words.files
    kind = format_of(files.out, files.format)
    folder = named_run(run)
    RunDir.find(folder)  # says what is wrong before torch is loaded
    trusted = trusted_packages(manner.trust)
    from dlexp.workflows.predict.inputs import Asked
    from dlexp.workflows.predict.predict import predict_run
    from dlexp.workflows.run_record.restore import Use

    use = Use(words.checkpoint, changes, trusted, manner.allow_changes)
    collected = Collected()
    with _names(files.names) as names:
        asked = Asked(inputs, names, words.probabilities, words.top, words.ignore_extra, words.separator)
        if manner.as_json and files.out is None:
            content = predict_run(folder, asked, use, collected, _say)
            content["predictions"] = collected.rows
        else:
            with rows_to(files.out, kind) as writer:
                content = predict_run(folder, asked, use, writer, _say)
    content["out"] = str(files.out) if files.out else None
    if manner.as_json:
        print_json(content)
    _tell(content, manner.quiet)
    if content["bad"]:
        raise typer.Exit(_BAD)


def _refuse(words: PredictWords, inputs: tuple[str, ...]) -> None:
    """Raise ConfigError for words that cannot stand on one line."""
    check_checkpoint(words.checkpoint)
    files = words.files
    if not inputs and files.names is None:
        raise ConfigError.one(
            "INPUT",
            "",
            "is missing",
            "name files, a folder, a 'pattern', or - for standard input",
            code="missing-value",
        )
    if "-" in inputs and files.names == "-":
        raise ConfigError.one(
            "--files-from",
            "-",
            "cannot stand beside INPUT -: standard input is one or the other",
            code="cannot-combine",
        )
    if inputs.count("-") > 1:
        raise ConfigError.one("INPUT", "-", "is there twice, and standard input can be read once", code="invalid-value")
    if files.out is not None and files.out.exists() and not files.force:
        raise ConfigError.one(
            "--out", files.out, "is there already", "add --force to replace it, or name another", code="already-exists"
        )
    if words.separator is not None and len(words.separator) != 1:
        raise ConfigError.one("--separator", words.separator, "must be one character", code="invalid-value")


def _split(words: tuple[str, ...]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """(inputs, changes): a word with `=` that is no file's name is a key."""
    keys = [word for word in words if "=" in word and not Path(word).exists()]
    return tuple(word for word in words if word not in keys), evaluation_changes(keys)


@contextmanager
def _names(source: str | None) -> Iterator[Iterator[str]]:
    """The names in a file or on standard input, one a line, as they come."""
    if source is None:
        yield iter(())
    elif source == "-":
        yield _lines(sys.stdin)
    else:
        try:
            file = TextIOWrapper(open_stream(source), encoding="utf-8", errors="surrogateescape")
        except OSError as error:
            raise ConfigError.one(
                "--files-from", source, f"cannot be read: {error.strerror}", code="system-error"
            ) from error
        with file:
            yield _lines(file)


def _lines(file: IO[str]) -> Iterator[str]:
    return (name for name in (line.rstrip("\r\n") for line in file) if name)


def _say(text: str) -> None:
    err.print(f"[yellow]{escape(text)}[/]")


def _tell(content: Mapping[str, Any], quiet: bool) -> None:
    """How many, how fast, and what was bad."""
    if not quiet:
        where = f" in {content['out']}" if content["out"] else ""
        pace = f"{content['seconds']:.1f} s, {content['items_per_second']:,.0f} a second"
        err.print(
            f"{counted(content['items'], 'item')}{escape(where)} ({pace}; {content['device']}, {content['precision']})"
        )
    if content["bad"]:
        err.print(f"[bold red]{content['bad']:,} could not be used[/]; the column `error` says why:")
        for text in content["first_bad"]:
            err.print(f"  {escape(text)}")
        if content["bad"] > len(content["first_bad"]):
            err.print("  ...")
