"""The command `dlexp predict`: predictions go to a file or standard output, messages to standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import typer

from dlexp.cli import options as given
from dlexp.cli.commands.results.combining import Others, Views, averaged_folders, check_view_words
from dlexp.cli.style import print_json
from dlexp.errors import ConfigError, DataError

if TYPE_CHECKING:
    from dlexp.workflows.predict.request import PredictRequest
    from dlexp.workflows.run_record.restore import RestoreOptions

_HAS_ERRORS = DataError.exit_code


def predict(
    run: given.RunOrGroup,
    inputs: given.Inputs = None,
    text: given.Texts = None,
    out: given.Out = None,
    format: given.Format = None,
    files_from: given.FilesFrom = None,
    others: Others = None,
    tta: Views = None,
    checkpoint: given.Checkpoint = "best",
    batch_size: given.BatchSize = None,
    probabilities: given.Probabilities = False,
    top: given.Top = 0,
    ignore_extra: given.IgnoreExtra = False,
    separator: given.Separator = None,
    beam: given.Beam = 1,
    length_penalty: given.LengthPenalty = 1.0,
    temperature: given.Temperature = None,
    top_k: given.TopK = None,
    top_p: given.TopP = None,
    repetition_penalty: given.RepetitionPenalty = 1.0,
    max_length: given.MaxLength = None,
    seed: given.GenerationSeed = 0,
    images: given.Images = None,
    allow_changes: given.UseChanged = False,
    trust: given.Trust = None,
    force: given.Force = False,
    quiet: given.Quiet = False,
    json: given.Json = False,
) -> None:
    """Predict new images, table rows, texts or arrays, with a run or the mean of a group of seeds or an ensemble."""
    from dlexp.artifacts.files.row_writer import format_of
    from dlexp.config.nodes import trusted_packages
    from dlexp.tasks.decoding.options import GenerationOptions
    from dlexp.workflows.finished_run import check_checkpoint

    samples, changes = _split(tuple(inputs or ()))
    if batch_size is not None:
        changes["data.eval_batch_size"] = batch_size
    check_checkpoint(checkpoint)
    _refuse(samples, files_from, out, force, separator, is_given=bool(text))
    drawing = beam, length_penalty, temperature, top_k, top_p, repetition_penalty, max_length, seed
    kind = format_of(out, format)
    folder, *more = averaged_folders([run, *(others or ())])
    check_view_words(tta)
    from dlexp.workflows.predict.request import PredictRequest
    from dlexp.workflows.run_record.restore import RestoreOptions

    trusted, texts = trusted_packages(tuple(trust or ())), tuple(text or ())
    options = RestoreOptions(checkpoint, changes, trusted, allow_changes)
    with _names(files_from) as names:
        wanted = samples, names, probabilities, top, ignore_extra, separator
        how = GenerationOptions(*drawing)
        request = PredictRequest(*wanted, None, texts, how, images, force, more, tta or "")
        content = _predicted(folder, request, options, kind, out, collects=json and out is None)
    if json:
        print_json(content)
    _show(content, quiet)


def _predicted(
    folder: Path, request: PredictRequest, options: RestoreOptions, kind: str, out: Path | None, *, collects: bool
) -> dict[str, Any]:
    """Predict, with the rows in the result, or in `out` or on standard output."""
    from dlexp.artifacts.files.row_writer import Collected, rows_to
    from dlexp.cli.views.results.predict import say
    from dlexp.workflows.predict.predict import predict_run

    if collects:
        collected = Collected()
        content = predict_run(folder, request, options, collected, say)
        content["predictions"] = collected.rows
    else:
        with rows_to(out, kind) as writer:
            content = predict_run(folder, request, options, writer, say)
    content["out"] = str(out) if out else None
    return content


def _show(content: dict[str, Any], quiet: bool) -> None:
    """Show the summary, and end with an error if a sample was not predicted."""
    from dlexp.cli.views.results.predict import show

    show(content, quiet)
    if content["bad"]:
        raise typer.Exit(_HAS_ERRORS)


def _refuse(
    inputs: Sequence[str],
    files_from: str | None,
    out: Path | None,
    force: bool,
    separator: str | None,
    *,
    is_given: bool,
) -> None:
    """Raise ConfigError for arguments that are missing, invalid or cannot be combined."""
    if not inputs and files_from is None and not is_given:
        raise ConfigError.one(
            "INPUT",
            "",
            "is required",
            "Name files, directories, a 'pattern', or - for standard input.",
            code="missing-value",
        )
    if "-" in inputs and files_from == "-":
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
    if out is not None and out.exists() and not force:
        raise ConfigError.one(
            "--out",
            out,
            "already exists",
            "Add --force to overwrite it, or use another name.",
            code="already-exists",
        )
    if separator is not None and len(separator) != 1:
        from dlexp.data.tables.files.table_form import SEPARATORS

        if separator not in SEPARATORS:
            rule = f"must be one character, or {', '.join(SEPARATORS)}"
            raise ConfigError.one("--separator", separator, rule, code="invalid-value")


def _split(arguments: tuple[str, ...]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """(inputs, changes): an argument with `=` that is not the name of a file is an override."""
    from dlexp.workflows.finished_run import evaluation_changes

    keys = [word for word in arguments if "=" in word and not Path(word).exists()]
    return tuple(word for word in arguments if word not in keys), evaluation_changes(keys)


@contextmanager
def _names(source: str | None) -> Iterator[Iterator[str]]:
    """The names in a file or on standard input, one per line, read as needed."""
    from dlexp.artifacts.files.reading import open_stream

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
