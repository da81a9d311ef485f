"""The typed configuration of a run.

Each dataclass field carries its default and, as metadata, the rule and the help that `dlexp config --explain` shows.
Component nodes stay open (`Node`): their keys are the keyword arguments of what they name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, get_type_hints

from dlexp.config.schema.fields import Field, key_field
from dlexp.config.schema.names import SECTION_NAMES
from dlexp.config.schema.regularization import RegularizationConfig


@dataclass(frozen=True)
class TrainerConfig:
    """How long, where and in which precision to train."""

    epochs: int = key_field(30, "int", "passes over the training split", min=1)
    device: str = key_field(
        "auto", "str", "auto, cpu, cuda, cuda:N or mps; auto takes the first GPU where there is one"
    )
    precision: str = key_field(
        "auto",
        "str",
        "number format of the arithmetic; auto takes bf16 where the hardware has it and it pays",
        choices=["auto", "fp32", "bf16", "fp16"],
    )
    threads: int | str = key_field(
        "auto",
        "int",
        "processor threads of the arithmetic; auto takes every core, and one for a small network of dense layers",
        min=1,
        max=1024,
        words=["auto"],
    )
    channels_last: bool | str = key_field(
        "auto", "bool", "memory format of images; auto takes it for 2-d convolutions", words=["auto"]
    )
    compile: bool | str = key_field(
        False,
        "bool",
        "torch.compile the networks: true, reduce-overhead (CUDA graphs) or max-autotune; auto does it on a GPU alone",
        words=["auto", "reduce-overhead", "max-autotune"],
    )
    tf32: bool = key_field(False, "bool", "let fp32 products on an NVIDIA GPU keep 10 of the 23 bits of their mantissa")
    checkpoint_activations: bool = key_field(
        False, "bool", "compute activations again in the backward pass and not keep them: less memory, more time"
    )
    accumulate: int = key_field(1, "int", "batches whose gradients are added up before one update", min=1)
    effective_batch: int | None = key_field(
        None,
        "int",
        "samples of an update when data.batch_size=auto finds the batch: batch times accumulate is always this; null "
        "keeps what the data's own batch size times accumulate makes",
        min=1,
        nullable=True,
    )
    clip_norm: float | None = key_field(
        None, "float", "largest norm of the whole gradient; a longer one is scaled down", above=0, nullable=True
    )
    gradient_norm: float | None = key_field(
        None, "float", "norm that every gradient is scaled to, up or down; null leaves it", above=0, nullable=True
    )
    monitor: str | None = key_field(
        None, "str", "metric that decides which epoch is best, such as val/loss; null is the task's own", nullable=True
    )
    save_every_steps: int | None = key_field(
        None,
        "int",
        "also save within an epoch, every so many updates (each epoch's end is always saved)",
        min=1,
        nullable=True,
    )
    on_nonfinite: str = key_field(
        "stop",
        "str",
        "what to do when a loss or a gradient is NaN or infinite: stop with exit code 4; skip that update; rollback to "
        "the start of the epoch and take its samples in another order",
        choices=["stop", "skip", "rollback"],
    )
    nonfinite_limit: int = key_field(
        5, "int", "updates skipped in a row, or rollbacks of one epoch, after which the run stops all the same", min=1
    )
    freeze: tuple[str, ...] = key_field(
        (),
        "list[str]",
        "patterns for names of parameters or modules that do not learn, such as [stem, layer1]; one that begins with ! "
        "frees what it matches",
    )
    freeze_layers: int | None = key_field(
        None, "int", "so many first layers do not learn; -N is all but the last N, so -1 trains the head", nullable=True
    )
    unfreeze_epoch: int | None = key_field(
        None, "int", "epoch, counted from 1, in which what is frozen begins to learn; null never", min=2, nullable=True
    )
    unfreeze_every: int = key_field(
        0, "int", "epochs from there until one more layer begins to learn, the last first; 0 is all at once", min=0
    )
    test: bool = key_field(False, "bool", "evaluate the best weights on the test split when training is over")


@dataclass(frozen=True)
class LoggerConfig:
    """What is written while training, beside metrics.csv."""

    every_steps: int = key_field(10, "int", "updates between two step rows in metrics.jsonl", min=1)
    tensorboard: bool = key_field(False, "bool", "also write TensorBoard event files under tb/")
    mlflow: bool = key_field(False, "bool", "also report to MLflow")
    mlflow_uri: str | None = key_field(
        None,
        "str",
        "database or server, such as sqlite:///FILE or http://HOST:5000; null is MLFLOW_TRACKING_URI, then "
        "outputs/mlflow.db",
        nullable=True,
    )
    mlflow_experiment: str = key_field("dlexp", "str", "experiment that the run is put into")
    wandb: bool = key_field(False, "bool", "also report to Weights & Biases")
    wandb_project: str = key_field("dlexp", "str", "project that the run is put into")
    wandb_entity: str | None = key_field(None, "str", "user or team of the project; null is your own", nullable=True)
    wandb_mode: str | None = key_field(
        None,
        "str",
        "offline writes wandb/ in the run, for `wandb sync`; null is WANDB_MODE, then offline",
        choices=["offline", "online"],
        nullable=True,
    )
    patience: float = key_field(60.0, "float", "seconds that trackers get at the end to hand over what is left", min=0)


@dataclass(frozen=True)
class Node:
    """A component: what to call, and its keyword arguments.

    group      the configuration group, such as `model`
    option     the option chosen there, such as `resnet18`
    target     dotted path of the function or class
    arguments  the keyword arguments as plain values
    """

    group: str
    option: str
    target: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class RunConfig:
    """One run, checked: everything that decides its result.

    optim_phases, scheduler_phases  phase -> its own values in place of those of `optim` or `scheduler`
    batch_size samples of a batch, 0 while data.batch_size=auto has not been found
    monitor    full name of the deciding metric, such as val/accuracy
    maximize   whether more of it is better
    choices    group -> option, as composed
    tree       the same configuration as plain containers, secrets unresolved: what is saved, compared and shown
    resolved   the same with every value in place; never written or printed
    """

    seed: int
    deterministic: bool
    init_from: str | None
    init_head: str
    init_strict: bool
    name: str | None
    data: Node
    model: Node
    task: Node
    loss: Node
    optim: Node
    scheduler: Node
    batch_size: int
    eval_batch_size: int
    decay_norms_and_biases: bool
    layer_decay: float | None
    optim_groups: tuple[Mapping[str, Any], ...]
    optim_phases: Mapping[str, Mapping[str, Any]]
    scheduler_phases: Mapping[str, Mapping[str, Any]]
    regularization: RegularizationConfig
    trainer: TrainerConfig
    logger: LoggerConfig
    monitor: str
    maximize: bool
    choices: Mapping[str, str]
    tree: Mapping[str, Any]
    resolved: Mapping[str, Any] = field(repr=False)

    def optim_of(self, phase: str) -> tuple[Node, Mapping[str, Any]]:
        """The optimizer of a phase, and its own values for the keys of `optim` that are no arguments."""
        given = self.optim_phases.get(phase, {})
        own = {key: value for key, value in given.items() if key in OWN_KEYS["optim"]}
        arguments = {key: value for key, value in given.items() if key not in own}
        return replace(self.optim, arguments={**self.optim.arguments, **arguments}), own

    def scheduler_of(self, phase: str) -> Node:
        """The schedule of a phase."""
        given = self.scheduler_phases.get(phase, {})
        return replace(self.scheduler, arguments={**self.scheduler.arguments, **given})


TOP_LEVEL: Mapping[str, Field] = {
    "seed": Field("int", "seed of the weights, the data order, augmentation and dropout", minimum=0),
    "deterministic": Field("bool", "refuse operations that may give other bits on a repeat (GPU); slower there"),
    "init_from": Field(
        "path", "run directory or checkpoint whose weights to start from; nothing else is taken", nullable=True
    ),
    "init_head": Field(
        "str",
        "the last layer of a model with init_from: keep takes its weights too, new begins it anew",
        choices=("keep", "new"),
    ),
    "init_strict": Field(
        "bool", "refuse init_from where weights are missing or of another shape; false begins those anew and tells them"
    ),
    "name": Field("str", "name in the run directory, in place of <model>-<data>", nullable=True),
}
SECTIONS: Mapping[str, type] = dict(
    zip(SECTION_NAMES, (TrainerConfig, RegularizationConfig, LoggerConfig), strict=True)
)
# Keys of a component's node that dlexp itself reads; all others are arguments of the target.
OWN_KEYS: Mapping[str, tuple[str, ...]] = {
    "data": ("batch_size", "eval_batch_size"),
    "task": ("monitor",),
    "optim": ("decay_norms_and_biases", "layer_decay", "groups", "phases"),
    "scheduler": ("phases",),
}


def section_fields(section: type, prefix: str) -> dict[str, Field]:
    """Dotted path -> rule, for a section dataclass and the sections inside it."""
    hints = get_type_hints(section)
    found: dict[str, Field] = {}
    for item in fields(section):
        path = f"{prefix}.{item.name}"
        if is_dataclass(hints[item.name]):
            found |= section_fields(hints[item.name], path)
        else:
            found[path] = item.metadata["field"]
    return found


def common_paths() -> tuple[str, ...]:
    """The dotted paths that every run has, whatever its options are."""
    return (*TOP_LEVEL, *(path for name, section in SECTIONS.items() for path in section_fields(section, name)))


def section_defaults(section: type) -> dict[str, Any]:
    """The defaults of a section as plain nested values."""
    hints = get_type_hints(section)
    return {
        item.name: section_defaults(hints[item.name]) if is_dataclass(hints[item.name]) else item.default
        for item in fields(section)
    }


def section_from(section: type, values: Mapping[str, Any]) -> Any:
    """The section dataclass that `values` describe; they must have been checked."""
    hints = get_type_hints(section)
    return section(
        **{
            name: section_from(hints[name], value) if is_dataclass(hints[name]) else value
            for name, value in values.items()
        }
    )
