"""Everything dlexp refuses, fails at or stops for, each kind with the exit code that the process ends with.

DlexpError            1    a failure with a message of its own
+-- ConfigError       2    the command line or the configuration is wrong; nothing was run
+-- DataError         3    the data cannot be used
+-- Diverged          4    the loss became NaN or infinite
+-- NoResult          5    the command ran and has no answer to give
+-- OutOfMemory       6    memory ran out
+-- Interrupted  75/130    stopped by a signal, with a checkpoint saved
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, get_args

# What a program may rely on: the words of a message may change, its code may not. docs lists what each one means.
Code = Literal[
    "already-exists",  # a result is there that would be overwritten
    "cannot-combine",  # two values that are valid alone
    "corrupted",  # a file of dlexp's own is damaged, cut short or not what its hash says
    "data-changed",  # data, code, packages or machine differ from those of the run
    "diverged",  # a loss, gradient or weight is NaN or infinite
    "failed",  # any other failure
    "in-use",  # another process works in that directory or study
    "incompatible-data",  # the data do not fit the model, the task or the run
    "incompatible-run",  # the run, study or sweep is of another kind, state or format than the command needs
    "incompatible-weights",  # weights that do not fit the network
    "interrupted",  # stopped by a signal
    "invalid-data",  # the data are malformed
    "invalid-syntax",  # a word, a file or an expression that cannot be parsed
    "invalid-type",  # a value of another type
    "invalid-value",  # a value of the right type that is not allowed there
    "missing-package",  # an optional package is not installed
    "missing-requirement",  # another key or option must be given with it
    "missing-value",  # a value must be given
    "no-effect",  # a value that would change nothing here
    "no-result",  # the command ran and has no answer
    "not-found",  # a file, directory, run, column or split
    "not-supported",  # valid in itself and not available here
    "out-of-memory",
    "out-of-range",  # a number beyond its limits
    "system-error",  # the operating system refused
    "too-few-samples",
    "too-large",
    "unknown-command",
    "unknown-key",  # of a configuration or a file
    "unknown-option",  # of a group such as model, or of a command
    "unknown-value",  # none of a fixed list of names
    "untrusted",  # would run code or leave the directories that are allowed
]
CODES: tuple[Code, ...] = get_args(Code)


class DlexpError(Exception):
    """A failure whose message says all that is needed to act on it; no traceback is shown.

    exit_code  what the process ends with
    code       what happened, as one of `CODES`
    """

    exit_code: int = 1
    default_code: ClassVar[Code] = "failed"

    def __init__(self, message: str, *, code: Code | None = None) -> None:
        self.code: Code = code or self.default_code
        super().__init__(message)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with what the user asked for.

    code    what kind of mistake it is, as one of `CODES`
    where   the configuration path or the word on the command line
    given   the value as the user wrote it, or "" where there is none
    rule    what is allowed there
    remedy  what to type instead, or "" where nothing close is known
    origin  the file and line that the value comes from, or "" for the command line
    """

    where: str
    given: str
    rule: str
    remedy: str = ""
    origin: str = ""
    code: Code = "invalid-value"

    def __str__(self) -> str:
        value = f"={self.given}" if self.given else ""
        origin = f" ({self.origin})" if self.origin else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.where}{value}{origin}: {self.rule}{remedy}"


class ConfigError(DlexpError):
    """All problems of a configuration at once; nothing was run and nothing was written."""

    exit_code = 2
    default_code = "invalid-value"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        code = self.problems[0].code if self.problems else None
        super().__init__("\n".join(str(problem) for problem in self.problems), code=code)

    @classmethod
    def one(
        cls, where: str, given: object, rule: str, remedy: str = "", *, code: Code = "invalid-value"
    ) -> ConfigError:
        """A ConfigError with a single problem."""
        return cls([Problem(where, str(given), rule, remedy, code=code)])


class DataError(DlexpError):
    """The data cannot be used; names the file, the column and the row where there is one.

    row counts as an editor does: the header of a CSV file is line 1; of a file without lines in another `unit`.
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
        place = [str(file)] if file is not None else []
        place += [f"{unit} {row}"] if row is not None else []
        place += [f"column {column!r}"] if column is not None else []
        prefix = ", ".join(place)
        text = f"{prefix}: {message}" if prefix else message
        super().__init__(f"{text}; {remedy}" if remedy else text, code=code)


class Diverged(DlexpError):
    """The loss, the gradient or a weight became NaN or infinite.

    what  the part of the message that says what happened, without the remedy
    """

    exit_code = 4
    default_code = "diverged"

    def __init__(self, what: str, remedy: str = "") -> None:
        self.what, self.remedy = what, remedy
        super().__init__(f"{what}; {remedy}" if remedy else what)


class NoResult(DlexpError):
    """The command ran and has no answer to give."""

    exit_code = 5
    default_code = "no-result"


class OutOfMemory(DlexpError):
    """Memory ran out; the message says in what, how much was used at most, and what to try."""

    exit_code = 6
    default_code = "out-of-memory"


class Interrupted(DlexpError):
    """Stopped by a signal after the step was finished and a checkpoint was saved."""

    default_code = "interrupted"

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


_REMEDIES = {
    errno.EMFILE: "raise the limit of open files: ulimit -n 4096",
    errno.ENOSPC: "free space on that disk, or write elsewhere",
    errno.EDQUOT: "free space within the quota, or write elsewhere",
    errno.EROFS: "choose a place that can be written",
    errno.EACCES: "give yourself the permission, or choose another place",
    errno.EPERM: "give yourself the permission, or choose another place",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "remove the link, which leads back to itself",
    errno.EIO: "check the disk or device that it is on",
}


def reason_of(error: OSError) -> str:
    """What the system said, and what to do where that is known."""
    if _is_folder_gone():
        return f"{error.strerror or error}; the current directory no longer exists, change to another one with cd"
    reason, remedy = error.strerror or str(error) or type(error).__name__, _REMEDIES.get(error.errno or 0)
    return f"{reason}; {remedy}" if remedy else reason


def refusal_of(error: OSError) -> DlexpError:
    """An error of the system as a refusal that names the path."""
    places = " -> ".join(os.fsdecode(place) for place in (error.filename, error.filename2) if isinstance(place, str))
    message = f"{places}: {reason_of(error)}" if places else f"the system refused: {reason_of(error)}"
    return DlexpError(message, code="system-error")


@contextmanager
def reading_data(place: object = None) -> Iterator[None]:
    """Raise an error of the system within as a DataError that names the file, or `place` where none is known."""
    try:
        yield
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else place
        raise DataError(
            f"cannot be read: {reason_of(error)}", file=None if where is None else str(where), code="system-error"
        ) from error


def refuse_without_folder() -> None:
    """Raise DlexpError where the current directory was deleted: libraries of torch end the process there."""
    if _is_folder_gone():
        raise DlexpError("the current directory no longer exists; change to another one with cd", code="system-error")


def _is_folder_gone() -> bool:
    try:
        Path.cwd()
    except OSError:
        return True
    return False


def message_of(error: BaseException, limit: int = 300) -> str:
    """The message of an error of another library: on one line, printable, of at most `limit` characters.

    The kind comes first where the message is no sentence: a missing key, a failed assertion.
    """
    words = "".join(letter if letter.isprintable() else " " for letter in str(error)).split()
    kind, text = type(error).__name__, " ".join(words)
    text = f"{kind}: {text}" if text and isinstance(error, KeyError | StopIteration) else text or kind
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def exit_code_of(error: BaseException) -> int:
    """The exit code of the process that ends with `error`."""
    if isinstance(error, DlexpError):
        return error.exit_code
    return 130 if isinstance(error, KeyboardInterrupt) else 1
