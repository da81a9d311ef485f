"""R1: stopped anywhere and resumed, a run ends with the bits of one that never stopped; the lists come from conf/.

Data workers are there where images are streamed: the cases `streamed-0` and `streamed-2` are the same run with 0 and 2.
"""

from __future__ import annotations

import io
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from combinations import some_of
from PIL import Image
from run_toys import trained_teacher

from dlexp.artifacts.checkpoints.state_diff import Compared, state_differences
from dlexp.assemble.experiment import assemble, build_data
from dlexp.assemble.training import prepare_training
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.schema.run import RunConfig
from dlexp.data.bundle import DataBundle
from dlexp.engine.loop import EpochRecord, FitPlan, StepRecord, fit
from dlexp.errors import Interrupted
from dlexp.runtime.signals import StopRequest
from dlexp.types import Batch

CATALOG = Catalog()
KEPT_UNTIL_THE_END = tempfile.TemporaryDirectory()
GROUPS = ("task", "optim", "scheduler", "loss", "regularization")
COUNTS = {"task": 20, "optim": 23, "scheduler": 13, "loss": 20, "regularization": 16}
EPOCHS = 3
SMALL = (f"trainer.epochs={EPOCHS}", "trainer.device=cpu", "data.eval_batch_size=8")
NET = ("model.hidden=[8]", "model.dropout=0.2", "data.batch_size=16")  # batch normalization and dropout
GAN = ("data=ring", "data.num_samples=300", "data.batch_size=32", "model.generator_hidden=[8,8]", "model.latent=2")
EDSR = (
    *("data=photos", "data.patches_per_photo=40", "data.val_fraction=0.3"),
    *("model=edsr", "model.feature_maps=4", "model.blocks=1"),
)
OF_TASK = {
    "classification": ("data=iris", *NET),
    "regression": ("data=diabetes", *NET, "data.batch_size=64"),
    "metric_learning": ("data=iris", "task=metric_learning", *NET),
    "forecasting": ("data=sunspots", "model=lstm", "data.batch_size=64", "model.units=8"),
    "seq2seq": ("data=reverse", "data.num_samples=200", "model=seq2seq_lstm", "model.units=8", "model.token=8"),
    "language_model": (
        "data=corpus",
        "model=gpt",
        "data.window=16",
        "model.token=8",
        "model.blocks=1",
        "model.heads=2",
    ),
    "tagging": ("data=entities", "data.num_samples=300", "model=gru", "model.units=8"),
    "ctc": ("data=tones", "data.num_samples=100", "model=gru", "model.units=8"),
    "contrastive": ("data=digit_captions", "data.batch_size=256", "model=clip", "model.token=8", "model.heads=2"),
    "adversarial": ("model=wgan_gp", "task.critic_steps=2", *GAN),
    "likelihood": ("data=two_moons", "data.num_samples=300", "model=flow", "model.couplings=2", "model.hidden=[8]"),
    "reconstruction": (
        *("data=digits", "data.batch_size=256", "model=autoencoder", "model.hidden=[8]", "task.corruption=gaussian"),
        "task.sparsity=l1",
    ),
    "vae": (
        *("data=breast_cancer", "data.batch_size=64", "model=vae", "model.hidden=[8]", "model.conditional=true"),
        *("task.kl_warmup_epochs=2", "task.beta=2"),
    ),
    "series_reconstruction": (
        *("data=eeg", "data.stride=8", "model=lstm_autoencoder", "model.units=8", "model.latent=2"),
    ),
    "diffusion": ("data=digits", "data.batch_size=256", "model=diffusion_mlp", "model.hidden=[8]", "model.dropout=0.2"),
    "super_resolution": EDSR,
    "adversarial_super_resolution": (
        *(*EDSR, "task.perceptual_weight=0.1", "task.features=random"),
        *("task.discriminator_channels=[4,4]", "task.adversarial_weight=0.1"),
    ),
    "style_transfer": ("data=style_pair", "data.longer_side=16", "data.updates_per_epoch=5", "model.start=noise"),
    "distillation": ("data=iris", *NET, "task.hints={1: 1}"),
    "regression_distillation": ("data=diabetes", *NET, "data.batch_size=64"),
    "two classes": ("data=breast_cancer", *NET, "data.batch_size=64"),
}
OF_LOSS = {
    **dict.fromkeys(("cross_entropy", "focal", "hinge", "kl", "multi_margin", "nll", "perceptron"), "classification"),
    **dict.fromkeys(("bce", "focal_binary"), "two classes"),
    **dict.fromkeys(("huber", "mae", "mse", "mse_mae", "poisson", "quantile", "smooth_l1"), "regression"),
    **dict.fromkeys(("arcface", "contrastive", "triplet"), "metric_learning"),
}
OF_SCHEDULER = {  # settings under which every kind moves the rate within three epochs
    "constant": ("scheduler.warmup_steps=4",),
    "cosine": ("scheduler.warmup_epochs=0.5",),
    "cosine_restarts": ("scheduler.period=1",),
    "cyclic": ("scheduler.rise=0.5", "scheduler.fall=0.75"),
    "multistep": ("scheduler.milestones=[1,2]",),
    "plateau": ("scheduler.patience=0", "scheduler.threshold=0.1"),
    "step": ("scheduler.step_size=1",),
}
IMAGES = ("data=digits", "data.batch_size=256", "data.augment=crop_flip", "data.eval_batch_size=100")
CNN = (*IMAGES, "model=simple_cnn", "model.channels=[4,4]", "model.fc=8", "model.dropout=0.3")
STREAMED = (
    *("data=image_folder", "data.image_size=8", "data.pad=1", "data.in_memory=false", "data.batch_size=8"),
    *("model=simple_cnn", "model.channels=[4,4]", "model.fc=8", "model.dropout=0.3", "data.val_fraction=0.3"),
)

OF_REG = {
    "swa": ("regularization.swa.start_epoch=2", "regularization.swa.lr=0.01", *OF_TASK["classification"]),
    "cutmix": CNN,
    "random_erasing": CNN,
}


def options(group: str) -> list[str]:
    return list(CATALOG.options(group))


# Those that train otherwise or keep something; the others set one number that "penalties-clip" or NET sets too.
REGULAR = ("none", "light", "strong", "ema", "swa", "cutmix", "early_stopping")
ALIKE = (
    "l1",
    "l2",
    "elastic_net",
    "dropout",
    "label_smoothing",
    "max_norm",
    "gradient_noise",
    "mixup",
    "random_erasing",
)
CASES: dict[str, tuple[str, ...]] = {
    **{
        f"{optim}-{name}": (*(f"optim={optim}", f"scheduler={name}"), *OF_SCHEDULER.get(name, ()), *OF_TASK[task])
        for task in ("classification",)
        for optim in options("optim")
        for name in options("scheduler")
        if optim == "sgd" or name == "cosine"  # all of one with all of the other: test_optim_contract.py
    },
    **{f"task-{task}": (f"task={task}", *OF_TASK[task]) for task in options("task")},
    **{f"loss-{loss}": (f"loss={loss}", *OF_TASK[OF_LOSS[loss]]) for loss in options("loss") if loss != "none"},
    **{f"reg-{name}": (f"regularization={name}", *OF_REG.get(name, OF_TASK["classification"])) for name in REGULAR},
    "numpy": ("model=numpy_mlp", "optim=numpy_adam", "regularization.ema.decay=0.9", *OF_TASK["classification"]),
    "bf16": ("trainer.precision=bf16", *OF_TASK["classification"]),
    "bf16-images": ("trainer.precision=bf16", *CNN),
    "augment-norm-dropout": CNN,
    "penalties-clip": ("regularization.l1=1e-4", "regularization.l2=1e-3", "trainer.clip_norm=0.5", *CNN),
    "balance-sampling": ("data.balance=sampling", *CNN),
    "balance-streamed": (*STREAMED, "data.balance=sampling", "data.workers=2", "data.augment=strong"),
    "streamed-0": (*STREAMED, "data.workers=0", "data.augment=trivialaugment"),
    "streamed-2": (*STREAMED, "data.workers=2", "data.augment=strong", "data.resize_to=10"),
    "bf16-ema-mixup": (
        *("trainer.precision=bf16", "regularization.ema.decay=0.9", "regularization.mixup=0.4"),
        *("regularization.cutmix=1", "regularization.mix_probability=0.8", "regularization.random_erasing=0.5", *CNN),
    ),
    "swa-images": ("regularization.swa.start_epoch=1", *CNN),
    "mixup-values": ("regularization.mixup=0.4", *OF_TASK["regression"]),
    "limits": ("regularization.max_norm=0.5", "regularization.gradient_noise=1e-4", *CNN),
    "unfreezing": ("trainer.freeze_layers=-1", "trainer.unfreeze_epoch=2", "trainer.unfreeze_every=1", *CNN),
    "unfreezing-sgd": (
        *("optim=sgd", "trainer.freeze_layers=-1", "trainer.unfreeze_epoch=2", "trainer.unfreeze_every=1"),
        *OF_TASK["classification"],
    ),
    "gradient-norm-sam": ("optim=sam", "optim.adaptive=true", "trainer.gradient_norm=0.5", *CNN),
    "gan-spectral-ema": (
        *("model=hinge_gan", "regularization.ema.decay=0.9", "trainer.precision=bf16", "trainer.clip_norm=0.5"),
        *("model.dropout=0.3", "model.conditional=true", "optim.phases.generator.lr=1e-3", *GAN),
    ),
    "sparse": ("compression.sparsity=0.6", "compression.gradual_epochs=2", *OF_TASK["classification"]),
    "sparse-narrow": (
        *("compression.sparsity=0.6", "compression.scope=global", "regularization.ema.decay=0.9"),
        *(
            "compression.layer_ranks=['model.1=2']",
            "compression.layer_widths=['model.1.1=2x6','model.2=6','model.5=6x3']",
        ),
        *OF_TASK["classification"],
    ),
    "patience": ("regularization.early_stopping.patience=1", "regularization.early_stopping.min_delta=1e9", *CNN),
}
# place -> (accumulate, the event at which the stop comes): an epoch's batches, updates and validation count from 1
PLACES: dict[str, tuple[int, tuple[str, int, int]]] = {
    "mid-epoch": (1, ("update", 2, 2)),
    "edge": (1, ("epoch", 1, 0)),
    "last-update": (1, ("update", 2, -1)),
    "mid-accumulation": (3, ("batch", 2, 2)),
    "validation": (1, ("validation", 2, 2)),
}

# Everywhere, but for what differs from its neighbors in one part of the state, or in none.
ELSEWHERE = {
    **dict.fromkeys([case for case in CASES if case.startswith("loss-")], ("mid-epoch",)),
    **dict.fromkeys([case for case in CASES if case.partition("-")[0] in options("optim")], ("mid-epoch", "edge")),
    **dict.fromkeys(("sgd-onecycle", "sgd-plateau", "adamw-cosine", "lbfgs-cosine"), tuple(PLACES)),
    **dict.fromkeys(("unfreezing-sgd", "gradient-norm-sam"), ("mid-epoch", "mid-accumulation")),
    "lookahead-cosine": ("mid-epoch", "edge", "mid-accumulation"),
    "task-style_transfer": ("mid-epoch", "edge", "last-update", "mid-accumulation"),  # it validates one sample
}


EVERYWHERE = ("adamw-cosine", "augment-norm-dropout")


class Asked(StopRequest):
    """Stops when told to, and hears no signals."""

    asked = False

    def __enter__(self) -> Asked:
        return self

    def __bool__(self) -> bool:
        return self.asked

    @property
    def exit_code(self) -> int:
        return 75


@dataclass
class Kept:
    """Checkpoints as bytes, through the same writer and the same safe reader as on disk."""

    saved: dict[str, bytes] = field(default_factory=dict)

    def save(self, state: Any, best: Any = None) -> None:
        if best is not None:
            self._save("best", best)
        self._save("last", state)

    def load(self, name: str) -> Any:
        return torch.load(io.BytesIO(self.saved[name]), weights_only=True) if name in self.saved else None

    def _save(self, name: str, state: Any) -> None:
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        self.saved[name] = buffer.getvalue()


@dataclass
class Told:
    """Batches that tell of every one that is read."""

    batches: Any
    on_read: Callable[[str, int, int], None]
    kind: str
    passes: int = 0

    @property
    def num_samples(self) -> int:
        return int(self.batches.num_samples)

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, epoch: int, first_batch: int = 0, attempt: int = 0) -> Iterator[Batch]:
        return self._tell(epoch + 1, first_batch, self.batches.epoch(epoch, first_batch, attempt))

    def __iter__(self) -> Iterator[Batch]:
        self.passes += 1
        return self._tell(self.passes, 0, self.batches)

    def _tell(self, number: int, before: int, batches: Iterable[Batch]) -> Iterator[Batch]:
        for position, batch in enumerate(batches, start=before + 1):
            self.on_read(self.kind, number, position)
            yield batch


@cache
def configured(words: tuple[str, ...]) -> tuple[RunConfig, DataBundle]:
    files = {"data=image_folder": image_folder, "data=corpus": text_file}
    paths = [f"data.path={made()}" for word, made in files.items() if word in words]
    if words[0].endswith("distillation"):
        paths.append(f"task.teacher={trained_teacher(words[1], 'model.hidden=[12]')}")
    config = load([*SMALL, *words, *paths], CATALOG)
    return config, build_data(config)


@cache
def image_folder() -> Path:
    """Two classes of 28 small files, until the end of the process."""
    root = Path(KEPT_UNTIL_THE_END.name)
    for number, image in enumerate(np.random.default_rng(0).integers(0, 256, (56, 8, 8, 3), dtype=np.uint8)):
        (root / "ab"[number % 2]).mkdir(exist_ok=True)
        Image.fromarray(image).save(root / "ab"[number % 2] / f"{number}.png")
    return root


@cache
def text_file() -> Path:
    """3,000 characters of made-up words, until the end of the process."""
    path = Path(KEPT_UNTIL_THE_END.name) / "book.txt"
    path.write_text(
        " ".join("abcdef"[word % 5 :][: 2 + word % 4] for word in np.random.default_rng(0).integers(0, 20, 900))
    )
    return path


def trained(words: tuple[str, ...], store: Kept, stop_at: tuple[str, int, int] | None = None) -> list[dict[str, Any]]:
    """Go on from what `store` holds, to the end or until `stop_at`; returns the rows of metrics.csv."""
    config, bundle = configured(words)
    experiment = assemble(config, (), bundle)
    setup, stop, rows = prepare_training(experiment), Asked(), []
    saved = store.load("last")
    if saved is not None:
        setup.state.load_state_dict(saved)

    def event(kind: str, epoch: int, number: int) -> None:
        stop.asked = stop.asked or (kind, epoch, number) == stop_at

    def observe(record: StepRecord | EpochRecord) -> None:
        if isinstance(record, StepRecord):
            number = -(-record.batch // config.trainer.accumulate)
            event("update", record.epoch, number)
            event("update", record.epoch, -1 if record.batch == record.num_batches else 0)
        else:
            event("epoch", record.epoch, 0)
            rows.append({k: v for k, v in record.values.items() if k not in ("seconds", "samples_per_s")})

    plan = FitPlan(
        task=experiment.task,
        train=Told(setup.batches, event, "batch"),
        val=Told(experiment.split("val"), event, "validation", passes=setup.state.epoch),
        rules=setup.rules,
        epochs=config.trainer.epochs,
        accumulate=config.trainer.accumulate,
        monitor=config.monitor,
        observers=[observe],
        statistics=setup.unchanged,
    )
    if stop_at is None:
        fit(plan, setup.state, store, stop)
        return rows
    with pytest.raises(Interrupted):
        fit(plan, setup.state, store, stop)
    return rows


@cache
def never_stopped(words: tuple[str, ...]) -> tuple[Kept, list[dict[str, Any]]]:
    store = Kept()
    return store, trained(words, store)


def test_nothing_of_conf_is_left_out() -> None:
    assert {group: len(options(group)) for group in GROUPS} == COUNTS
    assert len(CASES) == 23 + 12 + 20 + 19 + 7 + 18 + 2  # the last ones: data.balance
    for group in GROUPS:
        chosen = {option for case in CASES.values() for option in _chosen(case, group)}
        alike = {"regularization": set(ALIKE), "loss": {"none"}}.get(group, set())  # none: for tasks from outside
        assert chosen | alike >= set(options(group))


def few_of(matrix: list[tuple[str, str]]) -> set[tuple[Any, ...]]:
    """Each case at one of its places, in turn; the plain ones at all of them."""
    chosen: set[tuple[Any, ...]] = {(case, place) for case, place in matrix if case in EVERYWHERE}
    for number, case in enumerate(CASES):
        places = ELSEWHERE.get(case, tuple(PLACES))
        chosen.add((case, places[number % len(places)]))
    return chosen


def test_every_case_and_every_place_is_seen_in_each_run() -> None:
    few = few_of(MATRIX)
    assert {case for case, _ in few} == set(CASES)
    for kind in ("sgd", "reg", "streamed", "bf16"):
        assert len({place for case, place in few if case.partition("-")[0] == kind}) > 1
    assert Counter(place for _, place in few).keys() == PLACES.keys()
    assert min(Counter(place for _, place in few).values()) >= 5
    assert few < set(MATRIX)


def _chosen(words: tuple[str, ...], group: str) -> list[str]:
    return [word.partition("=")[2] for word in words if word.startswith(f"{group}=")]


MATRIX = [(case, place) for case in CASES for place in ELSEWHERE.get(case, PLACES)]


@pytest.mark.parametrize(("case", "place"), some_of(MATRIX, few_of(MATRIX)))
def test_resume_is_bit_exact(case: str, place: str) -> None:
    accumulate, stop_at = PLACES[place]
    words = (*CASES[case], f"trainer.accumulate={accumulate}")
    whole, rows = never_stopped(words)
    store = Kept()
    before = trained(words, store, stop_at)
    torch.rand(17)  # nothing may depend on what ran in between
    after = trained(words, store)
    counted = Compared()
    for name in ("last", "best"):
        assert [str(one) for one in state_differences(whole.load(name), store.load(name), counted, name)] == []
    assert before + after == rows
    assert len(before) == 1
    assert len(rows) == (2 if case == "patience" else EPOCHS)
    assert counted.tensors >= (7 if case == "task-style_transfer" else 20)  # a picture is one parameter


def test_the_number_of_workers_changes_no_bit() -> None:
    (one, rows), (other, other_rows) = (
        never_stopped((*STREAMED, f"data.workers={count}", "trainer.accumulate=1")) for count in (0, 2)
    )
    kept, kept_rows = never_stopped((*STREAMED, "data.in_memory=true", "trainer.accumulate=1"))
    assert rows == other_rows == kept_rows
    for name in ("last", "best"):
        assert list(state_differences(one.load(name), other.load(name), Compared(), name)) == []
        assert list(state_differences(one.load(name), kept.load(name), Compared(), name)) == []


@pytest.mark.parametrize(
    ("part", "case"),
    [("networks", "sgd-onecycle"), ("optimizers", "sgd-onecycle"), ("schedules", "sgd-onecycle"), ("best", "patience")],
)
def test_the_matrix_sees_a_part_of_the_state_that_is_lost(part: str, case: str) -> None:
    words = (*CASES[case], "trainer.accumulate=1")
    whole, _ = never_stopped(words)
    store, other = Kept(), Kept()
    trained(words, store, ("epoch", 1, 0))
    trained((*words, "seed=7"), other, ("update", 1, 1))
    store.save({**store.load("last"), part: other.load("last")[part]})
    trained(words, store)
    assert list(state_differences(whole.load("last"), store.load("last"), Compared()))
