"""The runs of the bench: trained once through `dlexp.train`, and kept in a folder."""

from __future__ import annotations

import hashlib
import io
import json
import math
import shutil
import time
from collections.abc import Iterable, Mapping
from contextlib import redirect_stderr
from dataclasses import asdict, dataclass, field
from pathlib import Path
from unittest.mock import patch

import pandas as pd

import dlexp
from benchmarks.doctor import files, sick_networks
from benchmarks.doctor.files import path_of
from benchmarks.doctor.kinds.kind import SMALLER_IS_BETTER, Words

_NO_PICTURES = dlexp.DlexpError("The bench draws no pictures.", code="failed")  # nearly half of the time of a small run
CONFIG_DIRS, TRUSTED = (str(Path(__file__).parents[1] / "conf"),), ("benchmarks",)


def digest(path: str | Path) -> str:
    """Eight characters of the SHA-256 of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:8]


FILES_DIGEST, NETWORKS_DIGEST = digest(files.__file__), digest(sick_networks.__file__)  # an edit makes new runs


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Attributes:
        key: Of its words and seed.
        words: As typed.
        run: Its directory.
        best: Column of metrics.csv -> value at the best epoch, {} for a run without.
        last: The same at the last epoch.
        seconds: Of processor time.
        error: The code of the error that ended it, "" for none.
        found: Time series that rules of others need: name -> values of the epochs.
    """

    key: str
    words: tuple[str, ...]
    run: str
    best: Mapping[str, float]
    last: Mapping[str, float]
    seconds: float
    error: str = ""
    found: Mapping[str, list[float]] = field(default_factory=dict)

    def metric(self, name: str, at: str) -> float:
        """val/`name` at the best or the last epoch; what is worse than any run if it ended without one."""
        value = (self.best if at == "best" else self.last).get(f"val/{name}", math.nan)
        if math.isfinite(value) and not self.error:
            return value
        return math.inf if name in SMALLER_IS_BETTER else 0.0


class Store:
    """Records of one kind in a file of JSON lines, by key; a record counts once, the latest."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.records = {record["key"]: record for record in map(json.loads, lines)}

    def add(self, record: Mapping[str, object]) -> None:
        """Remember a record, now."""
        self.records[str(record["key"])] = dict(record)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab", buffering=0) as file:  # a line at once: several processes may write
            file.write((json.dumps(record) + "\n").encode())


class Runs:
    """Trains runs into `folder`, each once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._store = Store(self.folder / "runs.jsonl")

    def of(self, words: Words, seed: int, *, train: bool = True) -> Outcome | None:
        """The run with these words and this seed; None if it is not there and shall not be trained."""
        typed = tuple(self._typed({**words, "seed": str(seed)}, seed))
        key = _key(typed, str(self.folder))
        if key in self._store.records:
            record = self._store.records[key]
            return Outcome(**{**record, "words": tuple(record["words"])})
        if not train:
            return None
        outcome = self._train(key, typed)
        self._store.add(asdict(outcome))
        return outcome

    def _typed(self, words: Words, seed: int) -> Iterable[str]:
        for key, value in words.items():
            path = path_of(value[1:], seed, self.folder / "files" / FILES_DIGEST) if value.startswith("@") else None
            yield f"{key}={value if path is None else path}"

    def _train(self, key: str, typed: tuple[str, ...]) -> Outcome:
        run, error = self.folder / "runs" / key, ""
        shutil.rmtree(run, ignore_errors=True)  # of a bench that was killed
        begun = time.process_time()
        try:
            no_pictures = patch("dlexp.report.figures.curves.curves_png", side_effect=_NO_PICTURES)
            with no_pictures, redirect_stderr(io.StringIO()):
                dlexp.train(*typed, run_dir=run, config_dirs=CONFIG_DIRS, trust=TRUSTED, progress=False)
        except dlexp.Diverged as diverged:
            error = diverged.code
        seconds = round(time.process_time() - begun, 2)
        best, last, found = _metrics(run)
        return Outcome(key, typed, str(run), best, last, seconds, error, found)


def _key(typed: tuple[str, ...], folder: str) -> str:
    """Of the words, of the program that makes their file, and of a network of the bench with its option."""
    text = "\n".join(sorted(typed)).replace(folder, "")
    models = (word.partition("=")[2] for word in typed if word.startswith("model="))
    options = [Path(CONFIG_DIRS[0], "model", f"{name}.yaml") for name in models]
    text += "".join(path.read_text() + NETWORKS_DIGEST for path in options if path.exists())
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _metrics(run: Path) -> tuple[dict[str, float], dict[str, float], dict[str, list[float]]]:
    """The values of the best epoch and of the last one, and the columns of all epochs."""
    path = run / "metrics.csv"
    rows = pd.read_csv(path) if path.exists() else pd.DataFrame()
    if rows.empty:
        return {}, {}, {}
    summary = run / "summary.json"
    best_epoch = json.loads(summary.read_text()).get("best_epoch") if summary.exists() else None
    best = rows[rows["epoch"] == best_epoch]
    columns = [name for name in map(str, rows) if name.startswith(("train/", "val/"))]
    found = {name: rows[name].round(5).tolist() for name in columns if name.endswith(("/loss", "/accuracy"))}
    return _row(best), _row(rows.tail(1)), found


def _row(rows: pd.DataFrame) -> dict[str, float]:
    return (
        {} if rows.empty else {str(name): float(value) for name, value in rows.iloc[0].items() if math.isfinite(value)}
    )
