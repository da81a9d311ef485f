"""`kill -9` at random moments: does a run ever lose a finished epoch, a file, or a bit?

    python tests/faults/kill_runs.py [--kills 200] [--seed 0] [--folder DIR]

Each run is started, killed, continued and killed again until it finishes, and is then compared with one that nobody
killed. Every third kill waits for a write to be under way; the others come at a moment drawn from the length of the
uninterrupted run. A run is a fork of this process, which has imported everything and computed nothing, so a start
costs a fraction of a second and the rest is a process like any other. Prints Markdown; ends with 1 when anything was
lost.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from dlexp.artifacts.checkpoints.checkpoint import read_checkpoint
from dlexp.artifacts.files.writing import is_temporary, read_json
from dlexp.artifacts.runs.metrics_log import read_metrics
from dlexp.cli.app import main as dlexp_main
from dlexp.errors import DlexpError

CASES = {
    "mlp, digits": ("model=mlp", "trainer.epochs=8", "trainer.save_every_steps=5"),
    "cnn, augmented": ("model=simple_cnn", "data.augment=crop", "trainer.epochs=4", "trainer.save_every_steps=3"),
    "sgd, plateau, regression": (
        *("data=diabetes", "optim=sgd", "optim.lr=0.01", "scheduler=plateau", "scheduler.patience=1"),
        *("trainer.epochs=16", "trainer.save_every_steps=2"),
    ),
    "accumulation, dropout": (
        *("data=breast_cancer", "trainer.accumulate=2", "regularization.dropout=0.3"),
        *("trainer.epochs=16", "trainer.save_every_steps=2"),
    ),
}
KILLS_PER_RUN = 12  # then it may finish: the end is worth comparing often
REACH = 0.7  # share of the uninterrupted time within which the killing moments lie: most runs end by a kill
PACE = ("seconds", "samples_per_s")  # the columns that time decides


@dataclass
class Tally:
    """What happened in the runs of one case."""

    runs: int = 0
    kills: int = 0
    moments: Counter[str] = field(default_factory=Counter)
    repeated: int = 0  # epochs whose row was written and whose checkpoint was not: trained again
    lost: list[str] = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        """Everything that must not happen."""
        return [*self.lost, *self.corrupt, *self.differs, *self.failed]


def start(folder: Path, *words: str) -> int:
    """A `dlexp train` in a child process, working in `folder`; returns its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.chdir(folder)
        log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        torch.set_num_threads(1)
        dlexp_main(["train", "-q", *words])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
        if code == 0:
            Path("modules.txt").write_text("\n".join(sys.modules))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def wait(child: int) -> int:
    """The exit code of a child that ends by itself."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def import_what_a_run_imports(folder: Path) -> None:
    """Import in this process, without computing anything, what a training run has imported by its end."""
    folder.mkdir(parents=True)
    assert wait(start(folder, "trainer.epochs=1", "--run-dir", "first")) == 0, (folder / "log.txt").read_text()
    for name in (folder / "modules.txt").read_text().split():
        with suppress(ImportError):
            importlib.import_module(name)


def is_writing(run: Path) -> bool:
    """Whether a temporary file is there."""
    return any(is_temporary(path) for place in (run, run / "checkpoints") if place.is_dir() for path in place.iterdir())


def wait_for_a_write(run: Path, child: int, limit: float) -> None:
    """Until a write is under way, the child has ended, or `limit` seconds are over."""
    end = time.monotonic() + limit
    while time.monotonic() < end and not is_writing(run):
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return


def damage_in(run: Path) -> Iterator[str]:
    """Every file that is there and not whole."""
    # A temporary file is allowed to be half: nobody reads it, and the next owner removes it.
    names = [path for path in sorted(run.rglob("*")) if path.is_file() and not is_temporary(path)]
    for path in (path for path in names if path.suffix == ".json"):
        try:
            read_json(path)
        except DlexpError as error:
            yield str(error)
    hashes_file = run / "checkpoints" / "hashes.json"
    hashes = read_json(hashes_file) if hashes_file.is_file() else {}
    for path in (path for path in names if path.suffix == ".pt"):
        try:
            read_checkpoint(path, hashes)
        except DlexpError as error:
            yield str(error)
    yield from (f"{path} was moved aside" for path in run.glob("checkpoints/*.damaged-*"))
    if (run / "metrics.csv").is_file():
        columns, rows = read_metrics(run / "metrics.csv")
        whole = (run / "metrics.csv").read_text().count("\n")
        if whole != len(rows) + bool(columns):
            yield f"{run / 'metrics.csv'} has {whole} lines, of which {len(rows)} are rows"


def position(run: Path) -> tuple[int, int]:
    """(epochs, updates) of the last checkpoint, (0, 0) before there is one."""
    for name in ("last.pt", "previous.pt"):
        if (run / "checkpoints" / name).is_file():
            saved = read_checkpoint(run / "checkpoints" / name)["position"]
            return int(saved["epoch"]), int(saved["step"])
    return 0, 0


def moment_of(run: Path) -> str:
    """Where in its life a killed run was."""
    if is_writing(run):
        return "within a write"
    if not (run / "config.yaml").is_file():
        return "before the run began"
    return "training" if (run / "checkpoints" / "last.pt").is_file() else "before its first checkpoint"


def difference(one: Any, other: Any, path: str) -> str:
    """Where two states differ in a bit, "" where they do not."""
    if isinstance(one, torch.Tensor):
        return "" if isinstance(other, torch.Tensor) and torch.equal(one, other) else path
    if isinstance(one, dict):
        if not isinstance(other, dict) or one.keys() != other.keys():
            return path
        return next(filter(None, (difference(one[key], other[key], f"{path}/{key}") for key in one)), "")
    if isinstance(one, list | tuple):
        if len(one) != len(other):
            return path
        return next(filter(None, (difference(a, b, path) for a, b in zip(one, other, strict=True))), "")
    return "" if one == other else path


def outcome(run: Path) -> dict[str, Any]:
    """Everything of a finished run that must come out the same."""
    with (run / "metrics.csv").open(newline="") as file:
        rows = [{key: cell for key, cell in row.items() if key not in PACE} for row in csv.DictReader(file)]
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {
        "last.pt": read_checkpoint(run / "checkpoints" / "last.pt"),
        "best.pt": read_checkpoint(run / "checkpoints" / "best.pt"),
        "metrics.csv": rows,
        "metrics.jsonl": [{key: value for key, value in record.items() if key not in PACE} for record in records],
        "state": [read_json(run / "status.json")[key] for key in ("state", "epoch", "exit_code")],
    }


def interrupt(run: Path, words: tuple[str, ...], seconds: float, rng: random.Random, tally: Tally, limit: int) -> None:
    """Start a run and kill it again and again until it finishes, by luck or because `limit` kills are made."""
    best, kills = (0, 0), 0
    while True:
        begun = (run / "config.yaml").is_file()
        child = start(run.parent, *(("--resume", run.name) if begun else (*words, "--run-dir", run.name)))
        if kills == limit:
            code, ended = wait(child), True
        else:
            time.sleep(rng.random() * seconds * REACH)
            if kills % 3 == 2:
                wait_for_a_write(run, child, seconds)
            done = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            ended = done is not None
            code = wait(child) if ended else 0
            if not ended:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
        if ended:
            if code:
                tally.failed.append(f"{run}: exit code {code}: {(run.parent / 'log.txt').read_text()[-300:]}")
            return
        kills += 1
        tally.kills += 1
        tally.moments[moment_of(run)] += 1
        damage = list(damage_in(run))
        tally.corrupt += damage
        if damage:
            return
        now = position(run)
        if now < best:
            tally.lost.append(f"{run}: was at {best} (epochs, updates), is at {now}")
        best = now
        tally.repeated += max(0, len(read_metrics(run / "metrics.csv")[1]) - now[0])


def attack(name: str, kills: int, rng: random.Random, folder: Path) -> Tally:
    """Runs of one case until `kills` kills are made, each compared with the uninterrupted one."""
    words, tally = CASES[name], Tally()
    folder.mkdir(parents=True)
    begun = time.monotonic()
    if wait(start(folder, *words, "--run-dir", "whole")):
        tally.failed.append((folder / "log.txt").read_text()[-300:])
        return tally
    seconds, whole = time.monotonic() - begun, outcome(folder / "whole")
    while tally.kills < kills and not tally.wrong:
        run = folder / f"run-{tally.runs}"
        interrupt(run, words, seconds, rng, tally, min(KILLS_PER_RUN, kills - tally.kills))
        tally.runs += 1
        if tally.wrong:
            break
        where = difference(whole, outcome(run), "")
        if where or is_writing(run):
            tally.differs.append(f"{run}: {where or 'temporary files are left'}")
    return tally


def main() -> None:
    """Attack every case and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", choices=CASES, action="append", help="only these; all by default")
    parser.add_argument("--folder", type=Path, default=None, help="keep the runs here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = given.folder or Path(temporary)
        names = given.case or list(CASES)
        shares = [given.kills // len(names) + (n < given.kills % len(names)) for n in range(len(names))]
        rng = random.Random(given.seed)
        import_what_a_run_imports(root / "first")
        tallies = {
            name: attack(name, share, rng, root / f"case-{number}")
            for number, (name, share) in enumerate(zip(names, shares, strict=True))
        }
    moments = ("before the run began", "before its first checkpoint", "training", "within a write")
    print(f"| case | runs | kills | {' | '.join(moments)} | epochs trained twice | lost | corrupt | other bits |")
    print(f"|---{'|---:' * (6 + len(moments))}|")
    for name, tally in tallies.items():
        counts = [tally.runs, tally.kills, *(tally.moments[moment] for moment in moments), tally.repeated]
        found = [len(tally.lost), len(tally.corrupt), len(tally.differs)]
        print(f"| {name} | {' | '.join(map(str, [*counts, *found]))} |")
    wrong = [problem for tally in tallies.values() for problem in tally.wrong]
    print("\n".join(["", f"{sum(t.kills for t in tallies.values())} kills, {len(wrong)} problems", *wrong]))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
