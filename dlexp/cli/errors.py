"""Printing of errors, without importing rich."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Sequence

from dlexp.cli.style import echo, print_json, styled
from dlexp.errors import ConfigError, DlexpError, Problem, exit_code_of
from dlexp.text.printable import printable_lines

_USAGE_CODES = {  # error of the parser, whose classes typer keeps to itself -> the code of the problem
    "NoSuchOption": "unknown-option",
    "MissingParameter": "missing-value",
    "BadParameter": "invalid-value",
    "UsageError": "invalid-syntax",
}


def show_error(error: DlexpError, as_json: bool, line: Sequence[str] = ()) -> None:
    """Print an error on standard error and, if `as_json`, as JSON on standard output.

    Args:
        error: The error.
        as_json: Whether the result was requested as JSON.
        line: The command line without `dlexp`, whose correction follows the problems.
    """
    corrected = None
    if isinstance(error, ConfigError) and line and any(problem.instead is not None for problem in error.problems):
        from dlexp.cli.correction import shown_line, with_correction  # only mistakes need it

        notes = list(getattr(error, "__notes__", ()))
        error, words = with_correction(error, line)
        error.__notes__ = notes
        corrected = None if words is None else shown_line(words)
    if isinstance(error, ConfigError):
        count = f"{len(error.problems)} problem{'s' if len(error.problems) > 1 else ''}"
        lines = [f"{styled(count, 'red', bold=True)}; nothing was run."]
        lines += [text for problem in error.problems for text in ("", *_of(problem))]
        lines += ["", f"Type: {styled(corrected, 'green')}"] if corrected else []
    else:
        lines = _of_message(type(error).__name__, str(error))
    notes = list(getattr(error, "__notes__", ()))
    echo("\n".join([*lines, *(f"  {_indented(note, '    ')}" for note in notes)]), err=True)
    if as_json:
        problems = [vars(problem) for problem in error.problems] if isinstance(error, ConfigError) else []
        content = {
            "kind": type(error).__name__,
            "code": error.code,
            "message": str(error),
            "exit_code": exit_code_of(error),
            "problems": problems,
            "corrected": corrected,
            "notes": notes,
        }
        print_json({"error": content})


def show_usage_as_json(error: BaseException) -> None:
    """Print an error of the command-line parser as JSON on standard output; any other error prints nothing."""
    code = next((_USAGE_CODES[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _USAGE_CODES), "")
    if code and hasattr(error, "format_message"):
        message = str(error.format_message())
        code = "unknown-command" if message.startswith("No such command") else code
        content = {"kind": "ConfigError", "code": code, "message": message, "exit_code": 2, "problems": [], "notes": []}
        print_json({"error": content})


def memory_error(error: Exception) -> DlexpError | None:
    """OutOfMemory for an error that means that memory ran out, with a general remedy; None for any other error."""
    if not isinstance(error, MemoryError) and "torch" not in sys.modules:
        return None
    from dlexp.runtime.out_of_memory import out_of_memory  # here, for it loads torch

    return out_of_memory(error, "this command", None, "smaller data or a smaller batch")


def _of(problem: Problem) -> list[str]:
    """The lines of one problem: place, value and origin; rule; remedy."""
    value = f"={problem.given}" if problem.given else ""
    origin = f" {styled(f'({problem.origin})', dim=True)}" if problem.origin else ""
    lines = [
        f"  {styled(f'{problem.where}{value}', bold=True)}{origin}",
        _between_words(f"    {_indented(problem.rule, '    ')}"),
    ]
    # Not wrapped: a remedy is often a command to copy, and a terminal copies its own line breaks as one line.
    return [*lines, f"    {styled(problem.remedy, 'green')}"] if problem.remedy else lines


def _of_message(kind: str, message: str) -> list[str]:
    """The lines of an error that has no problems; on a terminal the command that resumes is on a line of its own."""
    text = _indented(message, "  ")
    styled_kind = styled(kind, "red", bold=True)
    if not sys.stderr.isatty() or "\n" in text:
        return [f"{styled_kind}: {text}"]
    sentence, resume, line = text.partition(". Resume with ")
    first = _between_words(f"{kind}: {sentence}{'.' if resume else ''}").replace(f"{kind}:", f"{styled_kind}:", 1)
    return [first, *([f"  Resume with {line}"] if resume else [])]


def _indented(text: str, indent: str) -> str:
    """A text with indented continuation lines, so that a name with a line break cannot imitate output of dlexp."""
    return re.sub(r"\n(?=\S)", f"\n{indent}", printable_lines(text))


def _between_words(text: str) -> str:
    """A text wrapped between words for a terminal; unchanged otherwise."""
    if not sys.stderr.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return textwrap.fill(text, width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
