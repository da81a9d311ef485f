"""The workflow `dlexp doctor`: measures a run or a configuration, judges it, and says what mends it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.claims import claimed
from dlexp.artifacts.files.writing import finite_or_none, write_json
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.config.files.catalog import Catalog
from dlexp.diagnosis.case import Case
from dlexp.diagnosis.judge import judge
from dlexp.diagnosis.rules.all_rules import RULES
from dlexp.diagnosis.verdict import Verdict
from dlexp.findings import SEVERITIES
from dlexp.text.quoting import command
from dlexp.text.time_format import now_utc
from dlexp.workflows.doctor.examine import ExamineRequest, case_of_run, with_changes
from dlexp.workflows.doctor.main_measures import main_measures
from dlexp.workflows.doctor.suspected_labels import list_suspects

SCHEMA = 1  # of doctor.json
_HANDED_OVER = ("dataframe", "text_dataframe", "ndarrays")  # data of a Python program, which no command line has

_IN_PYTHON = {"--config-dir": "config_dirs", "--trust": "trust"}


@dataclass(frozen=True)
class Diagnosis:
    """What the doctor found.

    Attributes:
        case: Everything that was measured.
        findings: The verdicts, the gravest and surest first.
        lines: For each of them the command line with its remedy, "" if it has none.
    """

    case: Case
    findings: tuple[Verdict, ...]
    lines: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        counts = Counter(verdict.severity for verdict in self.findings)
        return {
            "schema": SCHEMA,
            "examined": now_utc(),
            "counts": {severity: counts[severity] for severity in SEVERITIES},
            "findings": [
                {**verdict.as_dict(), "line": line} for verdict, line in zip(self.findings, self.lines, strict=True)
            ],
            "rules": len(RULES),
            "measures": main_measures(self.case),
            "notes": list(self.case.notes),
        }


def examine_run(folder: Path, catalog: Catalog, request: ExamineRequest) -> Diagnosis:
    """Judge a run; nothing is written. Raises as `case_of_run` does, and ConfigError where there is no run."""
    run = RunDir.find(folder)
    case = case_of_run(run, catalog, request)
    found = judge(case, RULES)
    is_from_python = is_handed_over(case)
    return Diagnosis(case, tuple(found), tuple(_line_of_run(run, one.remedy, request, is_from_python) for one in found))


def doctor_run(folder: Path, catalog: Catalog, request: ExamineRequest) -> dict[str, Any]:
    """Judge a run, and write doctor.json in its directory; returns its content."""
    run = RunDir.find(folder)
    with claimed(run.path):
        diagnosis = examine_run(run.path, catalog, request)
        suspects = list_suspects(run.path, diagnosis.case, diagnosis.findings)
        found = {"run": str(run.path), **diagnosis.as_dict(), **suspects}
        content: dict[str, Any] = finite_or_none(found)
        write_json(run / "doctor.json", content)
    return content


def report_of(case: Case, found: Sequence[Verdict], words: Sequence[str], request: ExamineRequest) -> Diagnosis:
    """The verdicts about a configuration, with the lines that train it with their remedies."""
    is_from_python = is_handed_over(case)
    lines = (line_of_words(with_changes(words, one.remedy), request, is_from_python) for one in found if one.remedy)
    return Diagnosis(case, tuple(found), tuple(next(lines) if one.remedy else "" for one in found))


def _line_of_run(run: RunDir, remedy: Sequence[str], request: ExamineRequest, is_from_python: bool) -> str:
    if not remedy:
        return ""
    words = with_changes(request.words, remedy)
    if is_from_python:
        trust = f", {', '.join(_arguments(request, ('--trust',)))}" if "--trust" in request.options else ""
        given = ", ".join([*map(repr, words), "data=...", *_arguments(request, ("--config-dir",))])
        return f"dlexp.load({str(run.path)!r}{trust}).repeat({given})"
    return command("train", "--from", run.path, *words, *request.options)


def is_handed_over(case: Case) -> bool:
    """Whether the data is that of a Python program."""
    return case.facts.options.get("data") in _HANDED_OVER


def line_of_words(words: Sequence[str], request: ExamineRequest, is_from_python: bool) -> str:
    """The command that trains with the words, or the call where the data is that of a Python program."""
    if is_from_python:
        typed = [repr(word) for word in words if not word.startswith("data=")]
        more = _arguments(request, ("--config-dir", "--trust"))
        return f"dlexp.train({', '.join([*typed, 'data=...', *more])})"
    return command("train", *words, *request.options)


def _arguments(request: ExamineRequest, names: Sequence[str]) -> list[str]:
    """The options of these names as arguments of Python."""
    pairs = list(zip(request.options[::2], request.options[1::2], strict=True))
    values = {name: [text for option, text in pairs if option == name] for name in names}
    return [f"{_IN_PYTHON[name]}={texts!r}" for name, texts in values.items() if texts]
