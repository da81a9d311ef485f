"""Assertions on a refusal: its code, its place and its remedy, and never its prose."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from dlexp.cli.app import main
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.errors import CODES, ConfigError, DlexpError, Problem


def refused(error: BaseException, code: str, where: str = "", remedy: str = "") -> None:
    """Assert that `error`, or one of its problems, has this code, place and remedy.

    Args:
        error: What was raised.
        code: One of `CODES`.
        where: Part of the place: of a configuration path or a word of the command line; of the message of an error
            that holds no problems.
        remedy: Part of the remedy, such as the KEY=VALUE to set; "" for any remedy, also for none.
    """
    assert code in CODES, f"{code} is not among the codes of dlexp/errors.py"
    assert isinstance(error, DlexpError), repr(error)
    problems: tuple[Problem, ...] = getattr(error, "problems", ())
    if problems:
        found = [problem for problem in problems if problem.code == code and where in problem.where]
        assert any(remedy in problem.remedy for problem in found), problems
    else:
        assert (error.code, where in str(error), remedy in str(error)) == (code, True, True), (error.code, str(error))


def load_refused(words: Sequence[str], catalog: Catalog, code: str, where: str = "", remedy: str = "") -> None:
    """Assert that the configuration of the overrides `words` is refused with this code, place and remedy."""
    with pytest.raises(ConfigError) as caught:
        load(words, catalog)
    refused(caught.value, code, where, remedy)


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
