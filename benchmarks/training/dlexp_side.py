"""dlexp's side: the command `dlexp train` itself, display and all, and what `evaluate` and `predict` do."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from dlexp.runtime.process import prepare_process

prepare_process()  # as the command does, before torch is loaded

from benchmarks.harness.turns import Turns  # noqa: E402
from dlexp.cli import app  # noqa: E402
from dlexp.cli.views.training import display  # noqa: E402
from dlexp.engine.loop import EpochRecord, StepRecord  # noqa: E402
from dlexp.workflows.reporter import Reporter, RunFacts  # noqa: E402

_OWN = {"data=random_images", "data=random_sequences", "data=random_text"}
CONF = Path(__file__).resolve().parents[1] / "conf"


class Timed:
    """A reporter that tells the turns about what another one shows."""

    def __init__(self, shown: Reporter, turns: Turns) -> None:
        self._shown, self._turns, self._samples = shown, turns, 0
        self.say, self.end = shown.say, shown.end

    def begin(self, facts: RunFacts) -> None:
        """What the run says about its machine goes to the driver."""
        machine = facts.facts["machine"]
        self._turns.know(machine.partition(",")[0], machine=machine, display=type(self._shown).__name__)
        self._shown.begin(facts)

    def observe(self, record: StepRecord | EpochRecord) -> None:
        """Shown first: it belongs to what is measured."""
        self._shown.observe(record)
        if isinstance(record, StepRecord):
            self._turns.step(record.batch, record.num_batches, record.samples)
            self._samples = record.samples
        else:
            self._turns.epoch(self._samples)


def train(turns: Turns, words: Sequence[str]) -> None:
    """`dlexp train` with `words`, for more epochs than anybody waits for."""
    usual = display.reporter
    display.reporter = lambda quiet: Timed(usual(quiet), turns)
    with tempfile.TemporaryDirectory() as folder:
        app.main(["train", "--run-dir", f"{folder}/run", *_own_data(words), *words, "trainer.epochs=1000000"])


def evaluate(turns: Turns, words: Sequence[str]) -> None:
    """What `dlexp evaluate` does with the validation split once everything is read, before it writes."""
    from dlexp.assemble.experiment import assemble
    from dlexp.config.compose import load
    from dlexp.config.files.catalog import Catalog
    from dlexp.engine.evaluate import evaluate as over

    experiment = assemble(load(words, Catalog((CONF,))), ("benchmarks",))
    turns.know(str(experiment.device), machine=f"{experiment.device.type}, {experiment.precision.name}")
    batches = experiment.split("val")
    while True:
        over(experiment.task, experiment.networks, batches, experiment.precision, experiment.task.report_state())
        turns.epoch(batches.num_samples)


def predict(turns: Turns, words: Sequence[str]) -> None:
    """What `dlexp predict images.npy` does with the validation images once the run is read: rows of CSV and all."""
    import numpy as np

    from dlexp.artifacts.files.row_writer import rows_to
    from dlexp.artifacts.runs.run_dir import RunDir
    from dlexp.assemble.experiment import assemble
    from dlexp.config.compose import load
    from dlexp.config.files.catalog import Catalog
    from dlexp.data.columns import tensor_of
    from dlexp.workflows.predict.predict import answer
    from dlexp.workflows.predict.request import PredictRequest
    from dlexp.workflows.run_record.restore import RestoredRun

    experiment = assemble(load(words, Catalog((CONF,))), ("benchmarks",))
    turns.know(str(experiment.device), machine=f"{experiment.device.type}, {experiment.precision.name}")
    bundle = experiment.bundle
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder, "images.npy"), Path(folder, "out.csv")
        np.save(path, tensor_of(bundle.splits["val"].inputs).contiguous().numpy())
        stored = RestoredRun(RunDir(Path(folder)), experiment, {"white": 255}, bundle.preprocess, ())
        while True:
            with rows_to(out, "csv") as writer:
                found = answer(stored, PredictRequest((str(path),), probabilities=True), writer, lambda text: None)
            turns.epoch(found["items"])


def _own_data(words: Sequence[str]) -> list[str]:
    """What the benchmarks' own data need; others get no trust, for with it every step keeps Python's generators."""
    return ["--config-dir", str(CONF), "--trust", "benchmarks"] if _OWN & set(words) else []
