"""Pictures of samples while a run trains: every so many epochs a grid of the same noise, and an animation at the end.

Nothing here changes the run: generators, modes and weights are as before, and a picture is a function of the weights
of its epoch, so that a resumed run has the same ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from math import ceil
from pathlib import Path

import torch

from dlexp.artifacts.files.reading import is_there, read_bytes
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.assemble.experiment import Experiment
from dlexp.assemble.training import TrainingSetup
from dlexp.engine.loop import EpochRecord, Observer, StepRecord
from dlexp.errors import ConfigError
from dlexp.runtime.seed import order
from dlexp.tasks.generative.base import Encodes, GenerativeTask, Sampling
from dlexp.workflows.pictures import Pictures
from dlexp.workflows.sample.maker import BATCH, SampleMaker
from dlexp.workflows.sample.own_units import OwnUnits
from dlexp.workflows.sample.pictures import has_picture, picture_problem, sample_picture
from dlexp.workflows.sample.plan import SamplePlan, plan_of, reconstructions
from dlexp.workflows.sample.request import SampleRequest
from dlexp.workflows.split_rows import samples_at

FOLDER, ANIMATION = "samples", "samples.gif"
_NAME = re.compile(r"epoch_(\d+)\.png")
_COUNT, _POINTS = 25, 256  # samples of a grid, and of a table; with classes, as many of each as one batch has
_PICTURES = 10  # of a run by default
_SEED = 0  # that of `dlexp sample`, which makes the same samples


def sample_pictures(run: RunDir, setup: TrainingSetup, say: Callable[[str], None]) -> Sequence[Observer]:
    """The observer of a run of a task that makes samples or reconstructs; none for others, and for none wanted.

    Args:
        run: Its directory.
        setup: Its training, at the epoch that it begins after.
        say: Receives a line for each picture that cannot be drawn.

    Raises:
        ConfigError: As `check_sample_pictures` does.
    """
    experiment = setup.experiment
    every = experiment.config.trainer.sample_every
    if every == 0 or not check_sample_pictures(experiment):
        return ()
    for epoch, path in frames(run.path).items():
        if epoch > setup.state.epoch:
            path.unlink(missing_ok=True)
    return (_SamplePictures(run, setup, say, every or ceil(experiment.config.trainer.epochs / _PICTURES)).observe,)


def check_sample_pictures(experiment: Experiment) -> bool:
    """Whether the task makes something that has a picture.

    Raises ConfigError where it does not, and trainer.sample_every is set.
    """
    task, option, every = experiment.task, experiment.config.task.option, experiment.config.trainer.sample_every
    rule = ""
    if not isinstance(task, GenerativeTask):
        rule = f"task={option} makes no samples"
    elif task.noise_shape(dict(experiment.networks.items())) is None and not isinstance(task, Encodes):
        rule = f"task={option} neither makes samples nor reconstructs"
    elif not has_picture(_units(experiment)):
        rule = f"samples of data={experiment.config.data.option} have {picture_problem(_units(experiment))}"
    if rule and every:
        rule = f"has no effect: {rule}"
        raise ConfigError.one("trainer.sample_every", every, rule, "Remove it.", code="no-effect")
    return not rule


def frames(folder: Path) -> dict[int, Path]:
    """Epoch -> picture, in order, of a run's directory."""
    found = {path: _NAME.fullmatch(path.name) for path in (folder / FOLDER).glob("epoch_*.png")}
    numbered = {int(match[1]): path for path, match in found.items() if match}
    return dict(sorted(numbered.items()))


def write_animation(run: RunDir, pictures: Pictures) -> None:
    """Write samples.gif of two pictures or more."""
    paths = list(frames(run.path).values())
    if len(paths) < 2:
        return

    def draw() -> bytes:
        from dlexp.report.figures.generated.grid import animation

        return animation([read_bytes(path) for path in paths if is_there(path)])

    pictures.write(run / FOLDER / ANIMATION, draw)


def _units(experiment: Experiment) -> OwnUnits:
    bundle = experiment.bundle
    return OwnUnits(bundle.spec, bundle.preprocess, bundle.preprocessing)


class _SamplePictures:
    """Draws the same samples, or reconstructions of the same validation samples, after some epochs."""

    def __init__(self, run: RunDir, setup: TrainingSetup, say: Callable[[str], None], every: int) -> None:
        self._folder, self._setup, self._say, self._every = run / FOLDER, setup, say, every
        task = setup.experiment.task
        assert isinstance(task, GenerativeTask)
        self._maker = SampleMaker.of(setup.experiment, task, _units(setup.experiment))

    def observe(self, record: StepRecord | EpochRecord) -> None:
        """Draw at the end of every so many-th epoch, and of the last one."""
        if not isinstance(record, EpochRecord) or (record.epoch % self._every and record.epoch != record.epochs):
            return
        pictures, sampling = Pictures(), Sampling(_SEED, torch.empty(0, dtype=torch.int64))
        with self._setup.state.eval_weights():
            plan = self._plan()
            values = self._maker.decoded(plan.tiles, sampling)
        draw = sample_picture(self._maker.units, values, plan, f"epoch {record.epoch}")
        assert draw is not None
        pictures.write(self._folder / f"epoch_{record.epoch:04d}.png", draw)
        for problem in pictures.undrawn:
            self._say(problem)

    def _plan(self) -> SamplePlan:
        """One batch: of noise, or else of validation samples."""
        maker = self._maker
        if maker.noise_shape is not None:
            classes = maker.task.num_classes if maker.takes_classes else 0
            count = BATCH // classes * classes if 0 < classes <= BATCH else _COUNT
            count = _POINTS if maker.units.is_table else count
            return plan_of(maker, SampleRequest(count, _SEED), None)
        experiment = self._setup.experiment
        length = len(experiment.bundle.splits["val"])
        chosen = sorted(order(length, _SEED, 0)[: min(BATCH // 2, length)].tolist())
        return reconstructions(maker, samples_at(experiment, "val", chosen), {"split": "val"})
