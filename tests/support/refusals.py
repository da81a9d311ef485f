"""A line of `dlexp` that must be refused: its exit code, and the code, place and remedy of the error in its JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dlexp.cli.app import main
from dlexp.errors import CODES


def line_refused(
    capsys: pytest.CaptureFixture[str],
    *words: str,
    code: str,
    where: str = "",
    remedy: str = "",
    exit_code: int = 2,
) -> dict[str, Any]:
    """Run `dlexp WORDS --json` in this process and assert how it is refused; returns the error.

    Args:
        capsys: Of the test; what was printed before is dropped.
        words: The command line.
        code: One of `CODES`.
        where: Part of the place of a problem; of the message of an error that holds no problems.
        remedy: Part of the remedy of the same problem; of the message of an error that holds no problems.
        exit_code: What the process ends with.
    """
    assert code in CODES
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main([*words, "--json"])
    captured = capsys.readouterr()
    assert stopped.value.code == exit_code, captured.err
    assert "Traceback" not in captured.err
    error: dict[str, Any] = json.loads(captured.out)["error"]
    whole = {"code": error["code"], "where": error["message"], "remedy": error["message"]}
    problems = error["problems"] or [whole]
    assert any((p["code"] == code, where in p["where"], remedy in p["remedy"]) == (True,) * 3 for p in problems), error
    return error
