"""docs/reference/errors.md lists every code and exit code, with meanings and examples that are true."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from refusals import refused

from dlexp import errors
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.sweep import sweep_jobs
from dlexp.errors import CODES, ConfigError, DlexpError, Interrupted, Problem, with_remedy

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([a-z-]+)` \| (.+?) \| (.+?) \|$", PAGE, flags=re.MULTILINE)
EXITS = re.findall(r"^\| (\d+) \| (?:`(\w+)`)? *\| .+ \|$", PAGE, flags=re.MULTILINE)
_SUBCLASSES = [kind for kind in DlexpError.__subclasses__() if kind.__module__ == errors.__name__]
KINDS: list[type[DlexpError]] = [DlexpError, *_SUBCLASSES]
CATALOG = Catalog()


def refusal(line: str) -> DlexpError:
    """What the words of `dlexp train` raise."""
    program, command, *words = shlex.split(line)
    assert (program, command) == ("dlexp", "train")
    with pytest.raises(ConfigError) as caught:
        if "-m" in words:
            sweep_jobs([word for word in words if word != "-m"], CATALOG, lambda own: load(own, CATALOG))
        else:
            load(words, CATALOG)
    return caught.value


def test_every_code_is_documented_in_order_with_the_meaning_that_the_source_has() -> None:
    source = Path(errors.__file__).read_text(encoding="utf-8")
    meanings = dict(re.findall(r'^    "([a-z-]+)",  # (.+)$', source, flags=re.MULTILINE))
    assert [code for code, _, _ in ROWS] == list(CODES) == sorted(CODES)
    assert {code: meaning for code, meaning, _ in ROWS} == meanings


@pytest.mark.parametrize(("code", "line"), [(c, e.strip("`")) for c, _, e in ROWS if e.startswith("`dlexp train ")])
def test_examples_have_their_code(code: str, line: str) -> None:
    refused(refusal(line), code)


def test_there_are_examples_to_run() -> None:
    assert sum(example.startswith("`dlexp train ") for _, _, example in ROWS) >= 13


def test_every_error_is_documented_with_its_exit_code() -> None:
    documented = {(name, int(number)) for number, name in EXITS if name and name != "Interrupted"}
    assert {(kind.__name__, kind.exit_code) for kind in KINDS if kind is not Interrupted} == documented
    assert {int(number) for number, name in EXITS if name == "Interrupted"} == {75, 130}


@pytest.mark.parametrize("kind", KINDS)
def test_default_codes_are_codes(kind: type[DlexpError]) -> None:
    assert kind.default_code in CODES


@pytest.mark.parametrize(
    ("text", "remedy", "expected"),
    [
        ("unknown model", "", "unknown model"),
        ("unknown model", "did you mean mlp?", "unknown model; did you mean mlp?"),
        ("unknown model", "Did you mean mlp?", "unknown model. Did you mean mlp?"),
        ("Nothing was changed.", "Set x=1", "Nothing was changed. Set x=1"),
    ],
)
def test_a_remedy_with_a_capital_letter_is_a_sentence(text: str, remedy: str, expected: str) -> None:
    assert with_remedy(text, remedy) == expected
    assert str(Problem("model", "x", text, remedy, code="invalid-value")) == f"model=x: {expected}"
