"""Storages: which URLs there are, what is told when one cannot be opened, and who may read pickles (T15, T16, T17)."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from refusals import refused

from dlexp.errors import ConfigError, DlexpError
from dlexp.tune.samplers import Rules
from dlexp.tune.search_space.space import Space, parse_dimension
from dlexp.tune.storage import backends
from dlexp.tune.storage.backends import StudyStorage, without_password
from dlexp.tune.study import Study

RULES = Rules("random", 0, 3, "none", 0, 0, 25.0, False, "val/loss", 10)
SPACE = Space({}, (parse_dimension("x", {"float": [-1, 1]}),))


def study(url: str | None, folder: Path, rules: Rules = RULES, trusted: tuple[str, ...] = ()) -> Study:
    folder.mkdir(exist_ok=True)
    return Study("s", url, folder, rules, SPACE, trusted)


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:///{here}/new/a.db", "new/a.db"),
        ("sqlite:///a.db", "a.db"),
        ("journal:///{here}/new/a.journal", "new/a.journal"),
        ("journal://a.journal", "a.journal"),
        ("journal:sub/a.journal", "sub/a.journal"),
    ],
)
def test_two_directories_share_a_storage(tmp_path: Path, url: str, file: str) -> None:
    url = url.format(here=str(tmp_path).lstrip("/")) if "journal" in url else url.format(here=tmp_path)
    one, two = study(url, tmp_path / "one"), study(url, tmp_path / "two")
    assert (tmp_path / file).is_file()
    first, second = one.ask(2, {}, {}), two.ask(2, {}, {})
    assert first is not None
    assert second is not None
    assert (first.trial.number, second.trial.number) == (0, 1)
    assert one.ask(2, {}, {}) is None
    assert not (tmp_path / "one" / "study.journal").exists()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("studies.db", "sqlite:///FILE, journal:///FILE, postgresql://"),
        ("oracle://me:s3cret@db/x", "=oracle://me:***@db/x: "),
        ("journal:", "journal:///FILE"),
        ("mysql://me:s3cret@db/x", "pip install nosuchdriver"),
        ("postgresql+nosuch://me:s3cret@db/x", "pip install nosuch"),
        ("sqlite:////proc/nowhere/a.db", "--storage=sqlite:////proc/nowhere/a.db: "),
        ("journal:///proc/nowhere/a.journal", "--storage=/proc/nowhere/a.journal: "),
    ],
)
def test_what_cannot_be_opened_is_said_in_a_line_without_the_password(
    tmp_path: Path, url: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(backends._SERVERS, "mysql", ("mysql+nosuchdriver", "nosuchdriver", "pip install nosuchdriver"))
    with pytest.raises(ConfigError) as caught:
        StudyStorage(url, tmp_path)
    assert reason in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_the_hint_for_postgresql_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "find_spec", lambda _: None)
    with pytest.raises(ConfigError) as error:
        StudyStorage("postgresql://me:s3cret@db/x", tmp_path)
    refused(error.value, "missing-package", "--storage", "pip install 'psycopg[binary]'")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:s3c@ret@db:5432/x", "postgresql://me:***@db:5432/x"),
        ("postgresql://me@db/x?password=s3cret&sslmode=require", "postgresql://me@db/x?password=***&sslmode=require"),
        ("postgresql://db/x?user=me&sslpassword=s3cret", "postgresql://db/x?user=me&sslpassword=***"),
        ("sqlite:///a.db", "sqlite:///a.db"),
        ("journal:a", "journal:a"),
    ],
)
def test_a_password_is_never_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_what_a_driver_says_is_shown_without_the_password() -> None:
    url = "postgresql://me:s3%2Fcret@db/x?sslpassword=other"
    error = ValueError(f"bad dsn {url}: s3/cret or s3%2Fcret with other")
    message = backends._message(error, url)
    assert not {"s3/cret", "s3%2Fcret", "other"} & set(message.split())
    assert message.startswith("bad dsn postgresql://me:***@db/x?sslpassword=***: *** or *** with ***")


def test_a_database_that_fails_in_the_middle_is_told_in_a_line(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    opened = study(url, tmp_path)
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("DROP TABLE trial_heartbeats")
        connection.execute("ALTER TABLE trials RENAME TO gone")
    connection.close()
    with pytest.raises(DlexpError) as caught, backends.failures(url):
        opened.ask(1, {}, {})
    assert str(caught.value).startswith(f"the storage {url} failed: no such table: trials")
    with pytest.raises(KeyError), backends.failures(url):
        raise KeyError("a defect of dlexp stays one")


@pytest.mark.parametrize("url", ["sqlite:///a.db", "journal:a.journal"])
def test_sixteen_processes_that_make_one_storage_at_once_do_not_crash(tmp_path: Path, url: str) -> None:
    code = (
        "import os, sys, traceback; from pathlib import Path; from test_tune_storage import study\n"
        "go, start = os.pipe(); children = []\n"
        "for n in range(16):\n"
        "    children.append(os.fork())\n"
        "    if not children[-1]:\n"
        "        os.close(start); os.read(go, 1)\n"  # all begin when the parent's end is closed
        "        try:\n"
        "            opened = study(sys.argv[1], Path(str(n))); found = opened.ask(10, {}, {})\n"
        "            if found: opened.complete(found.trial, 1.0)\n"
        "        except BaseException: traceback.print_exc(); os._exit(1)\n"
        "        os._exit(0 if found else 7)\n"
        "os.close(start)\n"
        "print(sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code, url], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.stdout == f"{[0] * 10 + [7] * 6}\n", done.stderr  # ten trials are the total
    assert done.stderr == ""


def test_cma_es_reads_only_what_this_machine_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = replace(RULES, sampler="cmaes")
    monkeypatch.setattr("dlexp.tune.study.sampler_for", lambda *_: None)  # the package may be missing
    study(None, tmp_path / "own", rules)
    study(None, tmp_path / "own", rules)
    shutil.copytree(tmp_path / "own", tmp_path / "copied")
    with pytest.raises(ConfigError, match=r"study\.journal") as error:
        study(None, tmp_path / "copied", rules)
    refused(error.value, "untrusted", "search.sampler", "--trust cmaes")
    study(None, tmp_path / "copied", rules, trusted=("cmaes",))
    study(None, tmp_path / "copied")  # another sampler reads no pickles
    with pytest.raises(ConfigError, match=r"sqlite:///a\.db") as error:
        study("sqlite:///a.db", tmp_path / "shared", rules)
    refused(error.value, "untrusted", "search.sampler", "--trust cmaes")
    assert not Path("a.db").exists()
    study("sqlite:///a.db", tmp_path / "shared", rules, trusted=("cmaes",))
