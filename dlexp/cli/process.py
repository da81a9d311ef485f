"""How the process begins and ends: the streams and signals that it was given, and the exit code that is documented.

An error of the system that no command expected is a refusal with its path, exit code 1. A reader that is gone, as after
`| head`, ends the command quietly with 141, as it ends other tools.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from dlexp.errors import DlexpError, exit_code_of, refusal_of

CLOSED_PIPE = 128 + signal.SIGPIPE


def settle_inheritance() -> None:
    """Undo what a parent may have left that would falsify results: closed streams, and SIGCHLD ignored.

    A file opened while standard output is closed would be standard output. With SIGCHLD ignored the system keeps no
    exit codes: every helper process would seem to have ended well.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115, PTH123
    if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def exit_code(run: Callable[[], Any], words: Sequence[str], hint: Callable[[], None]) -> int:
    """Run a command and show what it failed with; returns the exit code.

    hint  what to add when the command line was not understood
    """
    try:
        code = _code_of(run, words, hint)
    except OSError as error:  # nothing can be shown
        code = _unwritten(error)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            code = code or _unwritten(error)
            _discard(stream)
    return code


def _code_of(run: Callable[[], Any], words: Sequence[str], hint: Callable[[], None]) -> int:
    try:
        run()
        return 0
    except SystemExit as error:
        if isinstance(error.__context__, OSError) and error.__context__.errno == errno.EPIPE:
            return CLOSED_PIPE  # typer has caught it
        if error.code == 2:
            hint()
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except KeyboardInterrupt as error:
        return exit_code_of(error)
    except Exception as error:
        if os.environ.get("DLEXP_DEBUG"):
            raise
        if isinstance(error, OSError) and _is_of_output(error):
            return _unwritten(error)
        refusal = _refusal_of(error)
        if refusal is None:
            raise
        return _shown(refusal, words)


def _refusal_of(error: Exception) -> DlexpError | None:
    """An error as the user is shown it; None for one that is a fault of the program."""
    if isinstance(error, DlexpError):
        return error
    if isinstance(error, OSError):
        return refusal_of(error)
    if isinstance(error, RuntimeError) and _is_link_to_itself(error):
        place = str(error).partition("from ")[2].strip("'")
        return refusal_of(OSError(errno.ELOOP, os.strerror(errno.ELOOP), place))
    from dlexp.cli.errors import memory_error

    return memory_error(error)


def _shown(error: DlexpError, words: Sequence[str]) -> int:
    from dlexp.cli.errors import show_error

    try:
        show_error(error, "--json" in words)
    except OSError:  # the terminal is gone, or nobody reads: the exit code still tells
        _discard(sys.stderr)
    return exit_code_of(error)


def _is_link_to_itself(error: RuntimeError) -> bool:
    """Whether it is what Path.resolve raises below Python 3.13 for a link that leads back to itself."""
    return str(error).startswith("Symlink loop from")


def _is_of_output(error: OSError) -> bool:
    """Whether a stream was full or closed; files are named."""
    return error.filename is None and error.errno in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EBADF)


def _unwritten(error: OSError) -> int:
    """The exit code of output that could not be written, said on standard error where that is another place."""
    if error.errno == errno.EPIPE:
        return CLOSED_PIPE
    try:
        sys.stderr.write(f"DlexpError: the output could not be written: {error.strerror or error}\n")
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)
    return 1


def _discard(stream: Any) -> None:
    """Let what a stream still holds go nowhere: Python would try again when the process ends, and complain."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        stream.flush()
    except (OSError, ValueError, AttributeError):
        return
