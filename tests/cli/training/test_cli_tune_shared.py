"""`dlexp tune` of several processes on one PostgreSQL server: an exact total whoever is killed (T1, T4, T15, T16)."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import prefork
import pytest

PASSWORD = "s3cret/word"
IN_URL = "s3cret%2Fword"
EPOCHS = 20
LINE = ("data=iris", f"trainer.epochs={EPOCHS}", "--name", "s", "optim=sgd", "search.space.model.hidden=null")
CALM = ("search.pruner=none", "search.sampler=random", "search.confirm_top=0", "-q")
WAIT_SECONDS = 120

pytestmark = pytest.mark.skipif(find_spec("psycopg") is None, reason="needs psycopg: pip install 'dlexp[postgresql]'")


def programs() -> Path | None:
    """The folder of initdb and postgres; Debian does not put it on the path."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a server of our own, reached through a socket in its folder; it refuses to be run by root."""
    place = programs()
    if place is None or not (place / "initdb").is_file():
        pytest.skip("needs a PostgreSQL server's programs: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="dlexp-pg-"))
    as_user: dict[str, Any] = {}
    try:
        (folder / "password").write_text(PASSWORD)
        if os.geteuid() == 0:
            try:
                shutil.chown(folder / "password", "postgres")
                shutil.chown(folder, "postgres")
            except LookupError:
                pytest.skip("PostgreSQL refuses to be run by root, and there is no user postgres")
            as_user = {"user": "postgres"}
        options = ["-U", "me", "--auth=scram-sha-256", f"--pwfile={folder}/password", "--no-sync", "-E", "UTF8"]
        made = [str(place / "initdb"), "-D", f"{folder}/data", *options]
        subprocess.run(made, check=True, capture_output=True, cwd=folder, **as_user)
        started = [str(place / "postgres"), "-D", f"{folder}/data", "-k", str(folder), "-h", "", "-F"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(started, stdout=log, stderr=log, cwd=folder, **as_user)
        try:
            wait_until_open(folder, process)
            yield f"postgresql://me:{IN_URL}@/postgres?host={folder}"
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait(WAIT_SECONDS)
    finally:
        shutil.rmtree(folder)


def wait_until_open(folder: Path, process: subprocess.Popen[bytes]) -> None:
    import psycopg

    until = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            psycopg.connect(host=str(folder), user="me", password=PASSWORD, dbname="postgres").close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > until:
                pytest.skip(f"the server did not start: {(folder / 'log').read_text()[-500:]}")
            time.sleep(0.05)


def start(folder: Path, outputs: str, *words: str) -> prefork.Process:
    """A worker as it runs on a machine of its own: with its own outputs."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("DLEXP_")}
    own = {"OMP_NUM_THREADS": "1", "DLEXP_RUNS_DIR": outputs, "DLEXP_DEBUG": "1"}
    pipe = subprocess.PIPE
    return prefork.Process(("tune", *words), cwd=folder, env={**env, **own}, stdout=pipe, stderr=pipe)


def begun(folder: Path) -> dict[Path, int]:
    """Trial that was or is trained under this folder -> how many epochs it has reported."""
    found = folder.rglob("tune/s/trials/*/metrics.jsonl")
    return {path.parent: path.read_text().count('"val/loss"') for path in found}


def wait_for_a_trial(folder: Path, *processes: prefork.Process) -> None:
    before, until = len(begun(folder)), time.monotonic() + WAIT_SECONDS
    while len(begun(folder)) == before:
        assert any(process.poll() is None for process in processes)
        assert time.monotonic() < until
        time.sleep(0.01)  # polling another process: there is nothing to be notified by


def is_stopped(process: prefork.Process) -> bool:
    """Whether a process is stopped, or has ended."""
    line = ["ps", "-o", "state=", "-p", str(process.pid)]
    found = subprocess.run(line, capture_output=True, text=True, check=False).stdout.strip()
    return found[:1] in {"T", "Z", ""}


def halted_in_a_trial(folder: Path, process: prefork.Process) -> Path:
    """Stop the worker while a trial of its own is on its way; the trial then waits for the answer to its report."""
    wait_for_a_trial(folder, process)
    while process.poll() is None:
        process.send_signal(signal.SIGSTOP)
        while not is_stopped(process):
            time.sleep(0.01)
        under_way = [trial for trial, epochs in begun(folder).items() if 0 < epochs < EPOCHS - 1]
        if under_way:
            return under_way[0]
        process.send_signal(signal.SIGCONT)
        time.sleep(0.01)
    raise AssertionError(process.communicate())


@pytest.mark.slow
def test_four_workers_make_the_exact_total_though_one_is_killed(tmp_path: Path, server: str) -> None:
    words = (*LINE, *CALM, "-n", "8", "--storage", server)
    victim = start(tmp_path, "machine-0", *words)
    cut_off = halted_in_a_trial(tmp_path / "machine-0", victim)
    workers = [victim, *(start(tmp_path, f"machine-{n}", *words) for n in (1, 2, 3))]
    wait_for_a_trial(tmp_path, *workers[1:])  # they go on beside one that lives and is silent
    victim.send_signal(signal.SIGKILL)
    assert victim.wait(WAIT_SECONDS) == -9
    ends = [worker.communicate(timeout=WAIT_SECONDS * 2) for worker in workers]
    assert [worker.returncode for worker in workers[1:]] == [0, 0, 0], ends
    # Whoever ends last has seen every trial; the same line again finds nothing to do.
    last = start(tmp_path, "machine-4", *words)
    _, err = last.communicate(timeout=WAIT_SECONDS)
    assert last.returncode == 0, err
    assert "8 trials" in " ".join(err.split())
    with (tmp_path / "machine-4" / "tune" / "s" / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert Counter(row["state"] for row in rows) == {"complete": 8, "requeued": 1}
    (cut,) = (row for row in rows if row["state"] == "requeued")
    assert "process" in cut["reason"]
    assert cut["folder"] == f"trials/{cut_off.name}"
    again = [row for row in rows if row["folder"] == cut["folder"] and row["state"] == "complete"]
    assert len(again) == 1
    assert [again[0][key] for key in cut if "optim." in key] == [cut[key] for key in cut if "optim." in key]
    study = json.loads((tmp_path / "machine-4" / "tune" / "s" / "study.json").read_text())
    assert study["best"]["value"] == min(float(row["value"]) for row in rows if row["value"])
    best = (tmp_path / "machine-4" / "tune" / "s" / "best.yaml").read_text()
    (own,) = tmp_path.glob(f"machine-[0-3]/tune/s/{study['best']['folder']}/result.json")
    assert best.partition("\n")[2] == (own.parent / "config.yaml").read_text()  # composed here, trained there
    output = "".join(out + err for out, err in ends)
    for path in filter(Path.is_file, tmp_path.rglob("*")):
        assert PASSWORD.encode() not in path.read_bytes()
        assert IN_URL.encode() not in path.read_bytes(), path
    assert PASSWORD not in output
    assert IN_URL not in output


@pytest.mark.slow
def test_sixteen_workers_make_the_tables_of_one_server_at_once(tmp_path: Path, server: str) -> None:
    code = (
        "import os, sys, traceback; from pathlib import Path; import psycopg\n"
        "from dlexp.tune.samplers import Rules; from dlexp.tune.search_space.space import Space, parse_dimension\n"
        "from dlexp.tune.study import Study\n"
        "rules = Rules('random', 0, 3, 'none', 0, 0, 25.0, False, 'val/loss', 10)\n"
        "space = Space({}, (parse_dimension('x', {'float': [0, 1]}),))\n"
        "go, start = os.pipe(); children = []\n"
        "for n in range(16):\n"
        "    children.append(os.fork())\n"
        "    if not children[-1]:\n"
        "        os.close(start); os.read(go, 1)\n"
        "        try:\n"
        "            study = Study('crowd', sys.argv[1], Path(), rules, space); found = study.ask(10, {}, {})\n"
        "            if found: study.complete(found.trial, 1.0)\n"
        "        except BaseException: traceback.print_exc(); os._exit(1)\n"
        "        os._exit(0 if found else 7)\n"
        "os.close(start)\n"
        "print(sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))\n"
    )
    fresh = server.replace("/postgres?", "/fresh?")
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE fresh")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code, fresh], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.stdout == f"{[0] * 10 + [7] * 6}\n", done.stderr


def test_a_wrong_password_is_told_without_it(tmp_path: Path, server: str) -> None:
    process = start(tmp_path, "mine", *LINE, "--storage", server.replace(IN_URL, "wr0ng%2Fword"))
    out, err = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode != 0
    assert "password authentication failed" in " ".join(err.split())
    assert "me:***@/postgres" in err.replace("\n", "")
    assert not any(secret in out + err for secret in ("wr0ng%2Fword", "wr0ng/word"))
