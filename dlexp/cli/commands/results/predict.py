"""The command `dlexp predict`: predictions go to a file or standard output, messages to standard error."""

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
from dlexp.report.number_format import pluralize

_HAS_ERRORS = DataError.exit_code


@dataclass(frozen=True)
class Files:
    """The input and output files, as typed."""

    arguments: tuple[str, ...]
    names: str | None
    out: Path | None
    format: str | None
    force: bool


@dataclass(frozen=True)
class PredictArguments:
    """The other arguments of `dlexp predict`."""

    files: Files
    checkpoint: str
    batch_size: int | None
    probabilities: bool
    top: int
    ignore_extra: bool
    separator: str | None


@dataclass(frozen=True)
class CommandSettings:
    """Trusted packages and verbosity."""

    trust: tuple[str, ...]
    allow_changes: bool
    quiet: bool
    as_json: bool


def predict(run: str, arguments: PredictArguments, settings: CommandSettings) -> None:
    """Predict and print how many samples failed; the exit code is 3 if any did."""
    inputs, changes = _split(arguments.files.arguments)
    if arguments.batch_size is not None:
        changes["data.eval_batch_size"] = arguments.batch_size
    _refuse(arguments, inputs)
    from dlexp.artifacts.files.row_writer import Collected, format_of, rows_to
    from dlexp.artifacts.runs.run_dir import RunDir, named_run
    from dlexp.config.nodes import trusted_packages

    files = arguments.files
    kind = format_of(files.out, files.format)
    folder = named_run(run)
    RunDir.find(folder)  # raises an error before torch is imported
    trusted = trusted_packages(settings.trust)
    from dlexp.workflows.predict.inputs import PredictRequest
    from dlexp.workflows.predict.predict import predict_run
    from dlexp.workflows.run_record.restore import RestoreOptions

    options = RestoreOptions(arguments.checkpoint, changes, trusted, settings.allow_changes)
    collected = Collected()
    with _names(files.names) as names:
        request = PredictRequest(
            inputs, names, arguments.probabilities, arguments.top, arguments.ignore_extra, arguments.separator
        )
        if settings.as_json and files.out is None:
            content = predict_run(folder, request, options, collected, _say)
            content["predictions"] = collected.rows
        else:
            with rows_to(files.out, kind) as writer:
                content = predict_run(folder, request, options, writer, _say)
    content["out"] = str(files.out) if files.out else None
    if settings.as_json:
        print_json(content)
    _tell(content, settings.quiet)
    if content["bad"]:
        raise typer.Exit(_HAS_ERRORS)


def _refuse(arguments: PredictArguments, inputs: tuple[str, ...]) -> None:
    """Raise ConfigError for arguments that are missing, invalid or cannot be combined."""
    check_checkpoint(arguments.checkpoint)
    files = arguments.files
    if not inputs and files.names is None:
        raise ConfigError.one(
            "INPUT",
            "",
            "is required",
            "Name files, directories, a 'pattern', or - for standard input.",
            code="missing-value",
        )
    if "-" in inputs and files.names == "-":
        raise ConfigError.one(
            "--files-from",
            "-",
            "cannot be combined with INPUT -: standard input can be read only once",
            code="cannot-combine",
        )
    if inputs.count("-") > 1:
        raise ConfigError.one(
            "INPUT", "-", "must be given only once: standard input can be read only once", code="invalid-value"
        )
    if files.out is not None and files.out.exists() and not files.force:
        raise ConfigError.one(
            "--out",
            files.out,
            "already exists",
            "Add --force to overwrite it, or use another name.",
            code="already-exists",
        )
    if arguments.separator is not None and len(arguments.separator) != 1:
        raise ConfigError.one("--separator", arguments.separator, "must be one character", code="invalid-value")


def _split(arguments: tuple[str, ...]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """(inputs, changes): an argument with `=` that is not the name of a file is an override."""
    keys = [word for word in arguments if "=" in word and not Path(word).exists()]
    return tuple(word for word in arguments if word not in keys), evaluation_changes(keys)


@contextmanager
def _names(source: str | None) -> Iterator[Iterator[str]]:
    """The names in a file or on standard input, one per line, read as needed."""
    if source is None:
        yield iter(())
    elif source == "-":
        yield _lines(sys.stdin)
    else:
        try:
            file = TextIOWrapper(open_stream(source), encoding="utf-8", errors="surrogateescape")
        except OSError as error:
            raise ConfigError.one(
                "--files-from", source, f"cannot read the file: {error.strerror}", code="system-error"
            ) from error
        with file:
            yield _lines(file)


def _lines(file: IO[str]) -> Iterator[str]:
    return (name for name in (line.rstrip("\r\n") for line in file) if name)


def _say(text: str) -> None:
    err.print(f"[yellow]{escape(text)}[/]")


def _tell(content: Mapping[str, Any], quiet: bool) -> None:
    """Print the number of samples, the speed and the first errors."""
    if not quiet:
        where = f" in {content['out']}" if content["out"] else ""
        pace = f"{content['seconds']:.1f} s, {content['items_per_second']:,.0f} per second"
        err.print(
            f"{pluralize(content['items'], 'sample')}{escape(where)} "
            f"({pace}; {content['device']}, {content['precision']})"
        )
    if content["bad"]:
        err.print(f"[bold red]{pluralize(content['bad'], 'sample')} could not be predicted[/]; see the column `error`:")
        for text in content["first_bad"]:
            err.print(f"  {escape(text)}")
        if content["bad"] > len(content["first_bad"]):
            err.print("  ...")
