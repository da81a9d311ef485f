"""The workflow `dlexp doctor`: measures a run or a configuration, judges it, and says what mends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.claims import claimed
from dlexp.artifacts.files.writing import write_json
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.config.files.catalog import Catalog
from dlexp.diagnosis.case import Case
from dlexp.diagnosis.judge import judge
from dlexp.diagnosis.rules.all_rules import RULES
from dlexp.diagnosis.verdict import Verdict
from dlexp.text.quoting import command
from dlexp.text.time_format import now_utc
from dlexp.workflows.doctor.examine import ExamineRequest, case_of_run, case_of_words, with_changes

SCHEMA = 1  # of doctor.json


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
        return {
            "schema": SCHEMA,
            "examined": now_utc(),
            "findings": [
                {**verdict.as_dict(), "line": line} for verdict, line in zip(self.findings, self.lines, strict=True)
            ],
            "notes": list(self.case.notes),
        }


def examine_run(folder: Path, catalog: Catalog, request: ExamineRequest) -> Diagnosis:
    """Judge a run; nothing is written. Raises as `case_of_run` does, and ConfigError where there is no run."""
    run = RunDir.find(folder)
    case = case_of_run(run, catalog, request)
    found = judge(case, RULES)
    return Diagnosis(case, tuple(found), tuple(_line(("train", "--from", run.path), one.remedy) for one in found))


def doctor_run(folder: Path, catalog: Catalog, request: ExamineRequest) -> dict[str, Any]:
    """Judge a run, and write doctor.json in its directory; returns its content."""
    run = RunDir.find(folder)
    with claimed(run.path):
        content = {"run": str(run.path), **examine_run(folder, catalog, request).as_dict()}
        write_json(run / "doctor.json", content)
    return content


def examine_words(words: Sequence[str], catalog: Catalog, request: ExamineRequest) -> Diagnosis:
    """Judge a configuration before it is trained; nothing is written. Raises as `case_of_words` does."""
    case = case_of_words(words, catalog, request)
    found = judge(case, RULES)
    lines = (command("train", *with_changes(words, one.remedy)) if one.remedy else "" for one in found)
    return Diagnosis(case, tuple(found), tuple(lines))


def _line(start: Sequence[Any], remedy: Sequence[str]) -> str:
    return command(*start, *remedy) if remedy else ""
