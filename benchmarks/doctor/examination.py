"""What the doctor says of a run, and how far down the right finding stands."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.doctor.runs import CONFIG_DIRS, TRUSTED, Outcome, Store
from dlexp.api.session import session
from dlexp.config.files.catalog import Catalog
from dlexp.errors import DlexpError
from dlexp.workflows.doctor.doctor import examine_run
from dlexp.workflows.doctor.examine import ExamineRequest

Finding = Mapping[str, Any]
ALARMS = ("error", "warning")


class Examinations:
    """Examines each run once, and keeps the findings in a file."""

    def __init__(self, path: Path) -> None:
        self._store = Store(path)

    def of(self, outcome: Outcome, *, again: bool = False) -> list[Finding]:
        """The findings of a run, in the order of the doctor; one of code "failed" if the doctor itself fails."""
        if again or outcome.key not in self._store.records:
            begun = time.process_time()
            findings = _findings(Path(outcome.run))
            seconds = round(time.process_time() - begun, 2)
            self._store.add({"key": outcome.key, "findings": findings, "seconds": seconds})
        found: list[Finding] = self._store.records[outcome.key]["findings"]
        return found

    def seconds(self, outcome: Outcome) -> float:
        """Processor seconds that the examination took."""
        return float(self._store.records[outcome.key]["seconds"])


def _findings(run: Path) -> list[Finding]:
    catalog, request = Catalog(tuple(Path(folder) for folder in CONFIG_DIRS), TRUSTED), ExamineRequest(trusted=TRUSTED)
    try:
        with session():
            found: list[Finding] = examine_run(run, catalog, request).as_dict()["findings"]
            return found
    except DlexpError as error:
        return [{"code": "failed", "severity": "note", "what": f"{error.code}: {error}", "remedy": []}]
    except Exception:  # a bug of the doctor is a row of the table, and not the end of the bench
        return [{"code": "failed", "severity": "note", "what": traceback.format_exc(limit=-4), "remedy": []}]


def rank(findings: Sequence[Finding], codes: Sequence[str]) -> int | None:
    """The place, from 1, of the first finding with one of the right codes; None if there is none."""
    places = (place for place, one in enumerate(findings, 1) if one["code"] in codes)
    return next(places, None)


def alarms(findings: Sequence[Finding], severities: Sequence[str] = ALARMS) -> list[str]:
    """The codes of the findings that are errors or warnings."""
    return [str(one["code"]) for one in findings if one["severity"] in severities]


def wilson(hits: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    if trials == 0:
        return 0.0, 1.0
    share, spread = hits / trials, z * z / trials
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / trials + spread / (4 * trials))
    return max(0.0, middle - half), min(1.0, middle + half)
