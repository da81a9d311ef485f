"""Start and end of the process: inherited streams and signals, and the documented exit codes.

An unexpected operating-system error is shown with its path and exit code 1. A closed pipe, as after `| head`, ends the
command silently with exit code 141, as is usual.
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


def reset_inherited_state() -> None:
    """Reset state inherited from the parent process that would corrupt results: closed streams and an ignored SIGCHLD.

    A file opened while standard output is closed would become standard output. With SIGCHLD ignored, the exit codes of
    child processes are lost, and every failure would look like a success.
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


def exit_code(run: Callable[[], Any], argv: Sequence[str], hint: Callable[[], None]) -> int:
    """Run a command, print its error if it fails, and return the exit code.

    Args:
        run: The command.
        argv: The command line.
        hint: Called after a usage error, to print a hint.
    """
    try:
        code = _code_of(run, argv, hint)
    except OSError as error:  # neither stream can be written
        code = _unwritten(error)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            code = code or _unwritten(error)
            _discard(stream)
    return code


def _code_of(run: Callable[[], Any], argv: Sequence[str], hint: Callable[[], None]) -> int:
    try:
        run()
        return 0
    except SystemExit as error:
        if isinstance(error.__context__, OSError) and error.__context__.errno == errno.EPIPE:
            return CLOSED_PIPE  # caught by typer
        if error.code == 2:
            hint()
            _describe_usage(error.__cause__ or error.__context__, argv)
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except KeyboardInterrupt as error:
        return exit_code_of(error)
    except Exception as error:
        if os.environ.get("DLEXP_DEBUG"):
            raise
        if isinstance(error, OSError) and _is_of_output(error):
            return _unwritten(error)
        refusal = _refusal_of(error) or _of_own_code(error, argv)
        if refusal is None:
            raise
        return _shown(refusal, argv)


def _refusal_of(error: Exception) -> DlexpError | None:
    """The error to show to the user; None for a bug, which is raised with its traceback."""
    if isinstance(error, DlexpError):
        return error
    if isinstance(error, OSError):
        return refusal_of(error)
    if isinstance(error, RuntimeError) and _is_link_to_itself(error):
        place = str(error).partition("from ")[2].strip("'")
        return refusal_of(OSError(errno.ELOOP, os.strerror(errno.ELOOP), place))
    from dlexp.cli.errors import memory_error

    return memory_error(error)


def _of_own_code(error: Exception, argv: Sequence[str]) -> DlexpError | None:
    """The error of an exception in a package that the line or DLEXP_TRUST trusts; None for any other one."""
    from dlexp.config.nodes import trusted_names
    from dlexp.config.own_code import failure_of_own_code

    named = [argv[at + 1] for at, word in enumerate(argv[:-1]) if word == "--trust"]
    named += [word.partition("=")[2] for word in argv if word.startswith("--trust=")]
    return failure_of_own_code(error, trusted_names(named))


def _shown(error: DlexpError, argv: Sequence[str]) -> int:
    from dlexp.cli.errors import show_error

    try:
        show_error(error, "--json" in argv, argv)
    except OSError:  # the terminal or pipe is closed; the exit code remains
        _discard(sys.stderr)
    return exit_code_of(error)


def _describe_usage(error: BaseException | None, argv: Sequence[str]) -> None:
    """Print a usage error, which the parser has shown as text, as JSON for `--json`."""
    if error is not None and "--json" in argv:
        from dlexp.cli.errors import show_usage_as_json

        show_usage_as_json(error)


def _is_link_to_itself(error: RuntimeError) -> bool:
    """Return whether it is the error of Path.resolve below Python 3.13 for a symbolic link loop."""
    return str(error).startswith("Symlink loop from")


def _is_of_output(error: OSError) -> bool:
    """Return whether a standard stream was full or closed; errors of files have a file name."""
    return error.filename is None and error.errno in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EBADF)


def _unwritten(error: OSError) -> int:
    """Report on standard error that the output could not be written; returns the exit code."""
    if error.errno == errno.EPIPE:
        return exit_code_of_output(error)
    try:
        sys.stderr.write(f"DlexpError: cannot write the output: {error.strerror or error}\n")
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)
    return exit_code_of_output(error)


def exit_code_of_output(error: OSError) -> int:
    """Return the exit code of a process whose output could not be written."""
    return CLOSED_PIPE if error.errno == errno.EPIPE else 1


def _discard(stream: Any) -> None:
    """Discard the buffered output of a stream; Python would otherwise try to flush it again at exit."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        stream.flush()
    except (OSError, ValueError, AttributeError):
        return
