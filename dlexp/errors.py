"""Exceptions of dlexp, their codes and the exit codes of the process.

DlexpError            1    any other failure
+-- ConfigError       2    the command line or the configuration is wrong; nothing was run
+-- DataError         3    the data cannot be used
+-- Diverged          4    the loss became NaN or infinite
+-- NoResult          5    the command ran and has no answer to give
+-- OutOfMemory       6    memory ran out
+-- Interrupted  75/130    stopped by a signal, with a checkpoint saved

A message states the problem, then the cause if it is not obvious, then the remedy. A remedy that begins with a capital
letter is a separate sentence; it has no full stop if it ends in something to copy.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, get_args

# Stable for programs: the wording of a message may change, its code does not. docs/reference/errors.md lists them all.
Code = Literal[
    "already-exists",  # a result would be overwritten
    "cannot-combine",  # two values, each valid alone
    "corrupted",  # a file written by dlexp is damaged, truncated or differs from its hash
    "data-changed",  # data, code, packages or hardware differ from those of the run
    "diverged",  # a loss, gradient or weight is NaN or infinite
    "failed",  # any other failure
    "in-use",  # another process is using the directory or study
    "incompatible-data",  # data that the model, the task or the run cannot process
    "incompatible-run",  # a run, study or sweep of another kind, state or format than the command requires
    "incompatible-weights",  # weights that do not match the network
    "interrupted",  # stopped by a signal
    "invalid-data",  # malformed data
    "invalid-syntax",  # an argument, file or expression that cannot be parsed
    "invalid-type",  # a value of the wrong type
    "invalid-value",  # a value of the right type that is not allowed there
    "missing-package",  # an optional package is not installed
    "missing-requirement",  # another key or option is required with it
    "missing-value",  # a required value is not given
    "no-effect",  # a value that changes nothing here
    "no-result",  # the command ran and has no result
    "not-found",  # a file, directory, run, column, split or Python object
    "not-supported",  # valid in itself, not available here
    "out-of-memory",  # memory ran out
    "out-of-range",  # a number outside its limits
    "system-error",  # an error of the operating system
    "too-few-samples",  # too little data for what is computed
    "too-large",  # more values, bytes, levels or combinations than allowed
    "unknown-command",  # no command of dlexp
    "unknown-key",  # a key that the configuration or the file does not have
    "unknown-option",  # no option of a group such as model, or of a command
    "unknown-value",  # none of a fixed list of names
    "untrusted",  # would run code, or leave the allowed directories
]
CODES: tuple[Code, ...] = get_args(Code)


class DlexpError(Exception):
    """A failure with a complete message, shown without a traceback.

    Attributes:
        exit_code: Exit code of the process.
        code: The kind of failure, one of `CODES`.
    """

    exit_code: int = 1
    default_code: ClassVar[Code] = "failed"

    def __init__(self, message: str, *, code: Code | None = None) -> None:
        self.code: Code = code or self.default_code
        super().__init__(message)


@dataclass(frozen=True)
class Problem:
    """A mistake in a configuration or on a command line.

    Attributes:
        where: Configuration path, or argument of the command line.
        given: The value as the user wrote it, "" if there is none.
        rule: What is wrong with it, or what is allowed instead.
        remedy: What to do, as an imperative sentence; "" if there is no obvious remedy.
        origin: File and line that the value comes from, "" for the command line.
        code: The kind of mistake, one of `CODES`.
        typed: The words of the command line that are wrong; () for the words that set `where`.
        instead: The words to type in their place, () to leave them out; None if more than one correction is possible.
    """

    where: str
    given: str
    rule: str
    remedy: str = ""
    origin: str = ""
    code: Code = field(kw_only=True)
    typed: tuple[str, ...] = field(default=(), kw_only=True)
    instead: tuple[str, ...] | None = field(default=None, kw_only=True)

    def __str__(self) -> str:
        value = f"={self.given}" if self.given else ""
        origin = f" ({self.origin})" if self.origin else ""
        return f"{self.where}{value}{origin}: {with_remedy(self.rule, self.remedy)}"


class ConfigError(DlexpError):
    """All problems of a configuration or a command line. Nothing was run or written."""

    exit_code = 2
    default_code = "invalid-value"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        code = self.problems[0].code if self.problems else None
        super().__init__("\n".join(str(problem) for problem in self.problems), code=code)

    @classmethod
    def one(cls, where: str, given: object, rule: str, remedy: str = "", *, code: Code) -> ConfigError:
        """Return a ConfigError with a single problem; see `Problem` for the arguments."""
        return cls([Problem(where, str(given), rule, remedy, code=code)])


class DataError(DlexpError):
    """Data that cannot be used.

    Args:
        message: What is wrong.
        file: The file, if there is one.
        column: Name of the column, if there is one.
        row: Number of the row, counted as in an editor: the header of a CSV file is line 1.
        remedy: What to do, as an imperative sentence.
        unit: What `row` counts, for files without lines.
        code: The kind of failure, one of `CODES`.
    """

    exit_code = 3
    default_code = "invalid-data"

    def __init__(
        self,
        message: str,
        *,
        file: Path | str | None = None,
        column: str | None = None,
        row: int | None = None,
        remedy: str = "",
        unit: str = "line",
        code: Code | None = None,
    ) -> None:
        self.file, self.column, self.row, self.remedy = file, column, row, remedy
        self.rule, self.unit = message, unit
        place = [str(file)] if file is not None else []
        place += [f"{unit} {row}"] if row is not None else []
        place += [f"column {column!r}"] if column is not None else []
        prefix = ", ".join(place)
        text = f"{prefix}: {message}" if prefix else message
        super().__init__(with_remedy(text, remedy), code=code)


class Diverged(DlexpError):
    """The loss, a gradient or a weight became NaN or infinite.

    Args:
        what: What happened, without the remedy.
        remedy: What to do, as an imperative sentence.
    """

    exit_code = 4
    default_code = "diverged"

    def __init__(self, what: str, remedy: str = "") -> None:
        self.what, self.remedy = what, remedy
        super().__init__(with_remedy(what, remedy))


class NoResult(DlexpError):
    """The command ran and has no result."""

    exit_code = 5
    default_code = "no-result"


class OutOfMemory(DlexpError):
    """Memory ran out. The message names the operation, the peak memory and what to try."""

    exit_code = 6
    default_code = "out-of-memory"


class Interrupted(DlexpError):
    """Stopped by a signal, after the current step was finished and a checkpoint was saved."""

    default_code = "interrupted"

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


_NO_FOLDER = "the current directory no longer exists"
_CHANGE_FOLDER = "Change to another directory with cd."
_REMEDIES = {
    errno.EMFILE: "Raise the limit of open files: ulimit -n 4096",
    errno.ENOSPC: "Free space on that disk, or write to another one.",
    errno.EDQUOT: "Free space within the quota, or write elsewhere.",
    errno.EROFS: "Choose a writable directory.",
    errno.EACCES: "Change the permissions, or choose another path.",
    errno.EPERM: "Change the permissions, or choose another path.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.ELOOP: "Remove the symbolic link, which points to itself.",
    errno.EIO: "Check the disk or device.",
}


def with_remedy(text: str, remedy: str) -> str:
    """Return a message followed by its remedy, as a new sentence if the remedy begins with a capital letter."""
    if not remedy[:1].isupper():
        return f"{text}; {remedy}" if remedy else text
    return f"{text}{'' if text.endswith(('.', '?', '!')) else '.'} {remedy}"


def reason_of(error: OSError) -> str:
    """Return the message of the operating system, with a remedy for common errors."""
    if _is_folder_gone():
        return with_remedy(f"{error.strerror or error}; {_NO_FOLDER}", _CHANGE_FOLDER)
    reason = error.strerror or str(error) or type(error).__name__
    return with_remedy(reason, _REMEDIES.get(error.errno or 0, ""))


def refusal_of(error: OSError) -> DlexpError:
    """Return an error of the operating system as a DlexpError that names the path."""
    places = " -> ".join(os.fsdecode(place) for place in (error.filename, error.filename2) if isinstance(place, str))
    message = f"{places}: {reason_of(error)}" if places else f"operating system error: {reason_of(error)}"
    return DlexpError(message, code="system-error")


@contextmanager
def reading_data(place: object = None) -> Iterator[None]:
    """Convert an OSError in the block to a DataError that names the file, or `place` if the error names none."""
    try:
        yield
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else place
        raise DataError(
            f"cannot be read: {reason_of(error)}", file=None if where is None else str(where), code="system-error"
        ) from error


def refuse_without_folder() -> None:
    """Raise DlexpError if the current directory was deleted, which makes libraries of torch abort the process."""
    if _is_folder_gone():
        raise DlexpError(with_remedy(_NO_FOLDER, _CHANGE_FOLDER), code="system-error")


def _is_folder_gone() -> bool:
    try:
        Path.cwd()
    except OSError:
        return True
    return False


def message_of(error: BaseException, limit: int = 300) -> str:
    """Return the message of an exception of another library as one printable line.

    The name of the exception precedes messages that are not sentences, such as the key of a KeyError.

    Args:
        error: Any exception.
        limit: Largest number of characters; longer messages are cut.
    """
    words = "".join(letter if letter.isprintable() else " " for letter in str(error)).split()
    kind, text = type(error).__name__, " ".join(words)
    text = f"{kind}: {text}" if text and isinstance(error, KeyError | StopIteration) else text or kind
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def exit_code_of(error: BaseException) -> int:
    """Return the exit code of a process that ends with `error`."""
    if isinstance(error, DlexpError):
        return error.exit_code
    return 130 if isinstance(error, KeyboardInterrupt) else 1
