"""The assertion on a refusal: its code, its place and the key of its remedy, and never its prose."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

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
