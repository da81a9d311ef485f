"""The reference says what the code says: keys, error codes, exit codes and the options of every group."""

from __future__ import annotations

import re
import runpy

import pytest
from doc_pages import ROOT, text_of

from dlexp import errors
from dlexp.cli.app import main
from dlexp.config.files.catalog import Catalog
from dlexp.diagnosis.rules.all_rules import RULES
from dlexp.diagnosis.rules.while_training import WHILE_TRAINING
from dlexp.metrics.selection.catalog import CATALOG


def test_the_page_of_keys_is_what_make_reference_writes() -> None:
    page = runpy.run_path(str(ROOT / "docs/reference/generate.py"))["keys_page"]()
    assert page == text_of("docs/reference/keys.md"), "run `make reference`"


def test_the_page_of_findings_is_what_make_reference_writes() -> None:
    made = runpy.run_path(str(ROOT / "docs/reference/findings_page.py"))
    page = made["findings_page"]()
    assert page == text_of("docs/reference/findings.md"), "run `make reference`"
    listed = set(re.findall(r"^### (\w+)", page, re.M))
    assert {rule.__name__ for rule in (*RULES, *WHILE_TRAINING)} == set(
        re.findall(r"^- rule: `[\w.]+\.(\w+)`$", page, re.M)
    )
    assert len(listed) >= 25


def test_the_page_of_codes_lists_every_error_code_in_order() -> None:
    section = text_of("docs/reference/errors.md").partition("## Error codes")[2]
    assert re.findall(r"^\| `([a-z-]+)`", section, re.M) == sorted(errors.CODES)


def test_the_page_of_exit_codes_lists_every_exit_code() -> None:
    section = text_of("docs/reference/errors.md").partition("## Error codes")[0]
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "exit_code")]
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", section, re.M)}
    assert listed >= {kind.exit_code for kind in kinds} | {0, 75, 129, 130, 138, 141, 143}


@pytest.mark.parametrize(
    ("page", "group"),
    [
        ("models", "model"),
        ("losses", "loss"),
        ("optimizers", "optim"),
        ("schedules", "scheduler"),
        ("regularization", "regularization"),
        ("data", "data"),
        ("loggers", "logger"),
    ],
)
def test_a_page_names_every_option_of_its_group(page: str, group: str) -> None:
    text = text_of(f"docs/reference/{page}.md") + text_of("benchmarks/results/models.md") * (group == "model")
    options = set(Catalog().options(group)) - {"files"}
    assert {option for option in options if not re.search(rf"\b{option}\b", text)} - {"resnet101", "resnet152"} == set()


@pytest.mark.parametrize("outputs", CATALOG)
def test_the_page_of_metrics_defines_every_metric_that_can_be_named(outputs: str) -> None:
    text = text_of("docs/reference/metrics.md")
    names = {name.partition("[")[0] for name in re.findall(r"`([a-z_0-9K*]+(?:\[[A-Z]+\])?)`", text)}
    prefixes = tuple(name.removesuffix("*") for name in names if name.endswith("_*"))
    missing = [name for name in CATALOG[outputs] if name not in names and not name.startswith(prefixes)]
    assert missing == []


def test_metrics_are_listed_with_a_direction_and_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["list", "metrics"])
    lines = [line.strip() for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    entries = [entry for known in CATALOG.values() for entry in known.values()]
    assert len(lines) == len(entries)
    for line, entry in zip(lines, entries, strict=True):
        assert line.startswith(entry.name) and f"{entry.direction}: {entry.help}" in line
