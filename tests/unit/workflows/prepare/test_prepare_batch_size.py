"""data.batch_size=auto: the search, the process that tries, and what a run keeps of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlexp.cli.app import main
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.saved import load_saved
from dlexp.config.schema.run import RunConfig
from dlexp.errors import ConfigError, Diverged, DlexpError, OutOfMemory
from dlexp.workflows.prepare import batch_probe, batch_size
from dlexp.workflows.prepare.batch_size import Try, divisors, largest, resolve_batch_size
from dlexp.workflows.reporter import Silent

MIB = 1 << 20
CODE = '''
import torch
from torch import nn

class Net(nn.Module):
    """Holds so many MiB a sample while it trains."""

    def __init__(self, in_features, num_classes, held=0, fault=""):
        super().__init__()
        self.flat, self.last, self.held, self.fault = nn.Flatten(), nn.Linear(in_features, num_classes), held, fault

    def forward(self, x):
        if self.fault:
            return x if self.fault == "shape" else self.last(self.flat(x)) * float("nan")
        ballast = torch.ones(len(x) * self.held, 1 << 20, dtype=torch.uint8) if self.training else None
        return self.last(self.flat(x))
'''
OPTION = "# A network that takes memory\n_target_: hungry_net.Net\nheld: 0\nfault: ''\n"
HUNGRY = ["data=iris", "model=hungry", "trainer.device=cpu", "data.batch_size=auto"]


class Heard(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def hungry(folder: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> RunConfig:
    """A configuration whose model is a package of somebody's own."""
    (folder / "hungry_net").mkdir()
    (folder / "hungry_net" / "__init__.py").write_text(CODE)
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "conf" / "model" / "hungry.yaml").write_text(OPTION)
    monkeypatch.syspath_prepend(folder)
    return load([*HUNGRY, *words], Catalog((folder / "conf",)))


def capacity(monkeypatch: pytest.MonkeyPatch, samples: int) -> list[int]:
    """A machine with room for so many samples of a batch; returns the sizes that are tried, as they are."""
    asked: list[int] = []

    def tried(config: RunConfig, trusted: Sequence[str], limit: int | None) -> Try:
        asked.append(config.batch_size)
        fits = config.batch_size <= samples
        reason = "" if fits else "more than the limit"
        return Try(
            config.batch_size, config.trainer.accumulate, fits, config.batch_size * MIB, samples * MIB, "", reason, 0.1
        )

    monkeypatch.setattr(batch_size, "_tried", tried)
    return asked


def run(*words: str, code: int = 0) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    assert (stopped.value.code or 0) == code


def shape(folder: Path | str) -> tuple[int, int, int | None]:
    config = load_saved(Path(folder) / "config.yaml")
    return config.batch_size, config.trainer.accumulate, config.trainer.effective_batch


@given(st.integers(1, 3000), st.integers(0, 3000))
def test_the_search_finds_the_largest_divisor_that_fits_in_few_tries(effective: int, room: int) -> None:
    tries: list[int] = []

    def fits(size: int) -> bool:
        tries.append(size)
        return size <= room

    sizes = divisors(effective)
    assert sizes == [n for n in range(1, effective + 1) if effective % n == 0]
    assert largest(sizes, fits) == max((n for n in sizes if n <= room), default=None)
    assert tries[0] == effective
    assert len(tries) <= 2 + len(sizes).bit_length()
    assert len(set(tries)) == len(tries)


def test_what_is_found_is_a_number_in_everything_that_follows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = capacity(monkeypatch, 40)
    line = (
        "train",
        "-q",
        "data=iris",
        "data.batch_size=auto",
        "trainer.effective_batch=64",
        "trainer.epochs=1",
        "--run-id",
        "one",
    )
    run(*line)
    assert asked == [64, 4, 16, 32]
    folder = Path("outputs/train/one")
    assert shape(folder) == (32, 2, None)
    record = json.loads((folder / "batch_size.json").read_text())
    assert (record["effective_batch"], record["batch_size"], record["accumulate"]) == (64, 32, 2)
    assert [(one["batch_size"], one["accumulate"], one["fits"]) for one in record["tries"]] == [
        (64, 1, False), (4, 16, True), (16, 4, True), (32, 2, True),
    ]  # fmt: skip
    assert record["tries"][0]["peak"] > record["tries"][0]["limit"]
    run(*line)  # finished: nothing is looked for
    run("train", "-q", "--resume", "one", "trainer.epochs=2")
    run("train", "-q", "--from", "one", "--run-dir", "again")
    run("evaluate", "one")
    assert asked == [64, 4, 16, 32]
    assert shape("again") == (32, 2, None)
    run("train", "-q", "--from", "one", "data.batch_size=auto", "--run-dir", "anew")
    assert asked == [64, 4, 16, 32] * 2
    assert shape("anew") == (32, 2, None)
    capsys.readouterr()


def test_the_run_is_the_one_that_is_typed_with_those_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    capacity(monkeypatch, 16)
    words = ("train", "-q", "data=wine", "trainer.epochs=1")
    run(*words, "data.batch_size=auto", "trainer.effective_batch=64", "--run-dir", "found")
    run(*words, "data.batch_size=16", "trainer.accumulate=4", "--run-dir", "typed")
    assert load_saved(Path("found/config.yaml")).tree == load_saved(Path("typed/config.yaml")).tree
    rows = [Path(name, "metrics.csv").read_text().splitlines()[1].split(",") for name in ("found", "typed")]
    header = Path("found/metrics.csv").read_text().splitlines()[0].split(",")
    clock = {header.index(name) for name in ("seconds", "samples_per_s")}
    one, other = ([cell for place, cell in enumerate(row) if place not in clock] for row in rows)
    assert one == other


def test_seeds_and_the_finder_look_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = capacity(monkeypatch, 64)
    words = ("-q", "data=iris", "data.batch_size=auto")
    run("train", *words, "trainer.epochs=1", "--seeds", "2", "--run-dir", "group")
    assert asked == [16]
    assert json.loads(Path("group/batch_size.json").read_text())["batch_size"] == 16
    assert {shape(path) for path in Path("group").glob("seed-*")} == {(16, 1, None)}
    run("lr-find", *words, "optim=sgd", "--run-dir", "sweep")
    assert asked == [16, 16]
    assert shape("sweep") == (16, 1, None)
    assert json.loads(Path("sweep/batch_size.json").read_text())["accumulate"] == 1
    run("verify", *words, "trainer.epochs=1", "--determinism")
    assert asked == [16, 16, 16]


def test_a_dry_run_does_not_look(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = capacity(monkeypatch, 1)
    run("train", "data.batch_size=auto", "--dry-run")
    assert asked == []


def test_when_nothing_fits_it_says_why_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    capacity(monkeypatch, 0)
    run("train", "-q", "data.batch_size=auto", code=6)
    assert "data.batch_size=auto" in capsys.readouterr().err
    assert not Path("outputs").exists()


def test_a_fresh_process_finds_what_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 MiB a sample in a process of 300 to 1,100: a limit of 2,250 MiB has room for one and not for two."""
    config = hungry(tmp_path, monkeypatch, "model.held=1000", "trainer.effective_batch=2", "optim.lr=auto")
    heard = Heard()
    settled, found = resolve_batch_size(config, ("hungry_net",), heard, 2250 * MIB)
    assert found is not None
    assert (settled.batch_size, settled.trainer.accumulate, settled.trainer.effective_batch) == (1, 2, None)
    assert settled.optim.arguments["lr"] == "auto"  # which comes after
    two, one = found.tries
    assert (two.batch_size, two.fits, one.batch_size, one.fits) == (2, False, 1, True)
    assert two.reason
    assert 1000 * MIB < one.peak <= one.limit == 2250 * MIB
    assert one.bound == "the limit given"
    assert heard.lines[-1] == "selected data.batch_size=1 trainer.accumulate=2"


@pytest.mark.parametrize(
    ("fault", "code", "stderr", "error", "message"),
    [
        ("", -9, b"", OutOfMemory, "SIGKILL"),
        ("", 1, b"Traceback\n  here\nValueError: a bug of my own\n", DlexpError, "ValueError: a bug of my own"),
        ("shape", 0, b"", ConfigError, "model=hungry: "),
        ("diverge", 0, b"", Diverged, "nan"),
    ],
)
def test_what_else_may_end_a_try(
    fault: str,
    code: int,
    stderr: bytes,
    error: type[DlexpError],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = hungry(tmp_path, monkeypatch, "trainer.effective_batch=1", f"model.fault='{fault}'")

    def here(words: Sequence[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        if not code:
            monkeypatch.setattr(batch_probe, "bound_allocations", lambda limit: None)  # this process goes on
            monkeypatch.setattr(sys, "argv", list(words[3:]))
            batch_probe.main()
        return subprocess.CompletedProcess(words, code, b"", stderr)

    monkeypatch.setattr("dlexp.workflows.prepare.batch_size.subprocess.run", here)
    with pytest.raises(error) as caught:
        resolve_batch_size(config, ("hungry_net",), Silent(), 1400 * MIB)
    assert type(caught.value) is error
    assert message in str(caught.value)
    assert "Traceback" not in str(caught.value)
