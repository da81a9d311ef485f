"""The typed configuration of a run.

Each dataclass field has its default and, as metadata, the rule and the help that `dlexp config --explain` shows.
The nodes of components (`Node`) are open: their keys are the keyword arguments of their target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, get_type_hints

from dlexp.config.schema.compression import CompressionConfig
from dlexp.config.schema.data_name import data_name
from dlexp.config.schema.fields import Field, key_field
from dlexp.config.schema.names import SECTION_NAMES
from dlexp.config.schema.regularization import RegularizationConfig
from dlexp.metrics.selection.request import MetricRequest


@dataclass(frozen=True)
class TrainerConfig:
    """The section trainer.*: length of training, hardware, precision, gradients and freezing."""

    epochs: int = key_field(30, "int", "number of passes over the training split", min=1)
    device: str = key_field(
        "auto", "str", "device: auto, cpu, cuda, cuda:N or mps; auto: the first GPU, or the CPU if there is none"
    )
    precision: str = key_field(
        "auto",
        "str",
        "floating-point format of forward and backward pass; auto: bf16 if supported and faster, else fp32",
        choices=["auto", "fp32", "bf16", "fp16"],
    )
    threads: int | str = key_field(
        "auto",
        "int",
        "CPU threads; auto: all cores, or one for a small network of dense layers",
        min=1,
        max=1024,
        words=["auto"],
    )
    channels_last: bool | str = key_field(
        "auto", "bool", "store images channels last; auto: for networks with 2-d convolutions", words=["auto"]
    )
    compile: bool | str = key_field(
        False,
        "bool",
        "compile the networks: true, reduce-overhead (CUDA graphs) or max-autotune; auto: true on a GPU only; "
        "step: loss, gradient and update as one graph, kept in the cache directory",
        words=["auto", "reduce-overhead", "max-autotune", "step"],
    )
    tf32: bool = key_field(False, "bool", "use TF32 for fp32 matrix products on NVIDIA GPUs: 10 of 23 mantissa bits")
    checkpoint_activations: bool = key_field(
        False, "bool", "recompute activations in the backward pass instead of storing them: less memory, more time"
    )
    accumulate: int = key_field(1, "int", "number of batches whose gradients are accumulated for one update", min=1)
    effective_batch: int | None = key_field(
        None,
        "int",
        "samples of an update (batch size times accumulate) with data.batch_size=auto; null: the default batch size of "
        "the data times accumulate",
        min=1,
        nullable=True,
    )
    clip_norm: float | None = key_field(
        None,
        "float",
        "largest Euclidean norm of the gradient of all parameters, above which it is scaled down; null: no limit",
        above=0,
        nullable=True,
    )
    gradient_norm: float | None = key_field(
        None,
        "float",
        "Euclidean norm to which every gradient is scaled, up or down; null: not scaled",
        above=0,
        nullable=True,
    )
    monitor: str | None = key_field(
        None, "str", "metric that decides which epoch is best, such as val/loss; null: task.monitor", nullable=True
    )
    save_every_steps: int | None = key_field(
        None,
        "int",
        "updates between checkpoints within an epoch; null: only at the end of each epoch",
        min=1,
        nullable=True,
    )
    on_nonfinite: str = key_field(
        "stop",
        "str",
        "action when a loss or gradient is NaN or infinite: stop with exit code 4, skip the update, or rollback to the "
        "start of the epoch and repeat it with another order of samples",
        choices=["stop", "skip", "rollback"],
    )
    nonfinite_limit: int = key_field(
        5, "int", "consecutive skipped updates, or rollbacks of one epoch, after which the run stops", min=1
    )
    freeze: tuple[str, ...] = key_field(
        (),
        "list[str]",
        "patterns of names of frozen parameters or modules, such as [stem, layer1]; a pattern with a leading ! "
        "unfreezes its matches",
    )
    freeze_layers: int | None = key_field(
        None,
        "int",
        "number of first layers that are frozen; -N: all but the last N, so -1 trains only the head; null: none",
        nullable=True,
    )
    unfreeze_epoch: int | None = key_field(
        None, "int", "epoch, counted from 1, in which frozen layers are unfrozen; null: never", min=2, nullable=True
    )
    unfreeze_every: int = key_field(
        0,
        "int",
        "epochs between the unfreezing of one layer and the next, from the last to the first; 0: all at once",
        min=0,
    )
    test: bool = key_field(False, "bool", "evaluate the best weights on the test split after training")
    doctor: bool = key_field(
        False,
        "bool",
        "look at each epoch and report what is surely wrong; the run is neither changed nor stopped",
    )
    sample_every: int | None = key_field(
        None,
        "int",
        "epochs between two pictures of samples, or of reconstructions, of a generative model; 0: none; null: as many "
        "as make ten pictures of the run",
        min=0,
        nullable=True,
    )


@dataclass(frozen=True)
class LoggerConfig:
    """The section logger.*: logging during training, in addition to metrics.csv."""

    every_steps: int = key_field(10, "int", "updates between two step records in metrics.jsonl", min=1)
    tensorboard: bool = key_field(False, "bool", "write TensorBoard event files to tb/")
    mlflow: bool = key_field(False, "bool", "log to MLflow")
    mlflow_uri: str | None = key_field(
        None,
        "str",
        "MLflow database or server, such as sqlite:///FILE or http://HOST:5000; null: MLFLOW_TRACKING_URI, or "
        "outputs/mlflow.db",
        nullable=True,
    )
    mlflow_experiment: str = key_field("dlexp", "str", "MLflow experiment of the run")
    wandb: bool = key_field(False, "bool", "log to Weights & Biases")
    wandb_project: str = key_field("dlexp", "str", "Weights & Biases project of the run")
    wandb_entity: str | None = key_field(
        None, "str", "Weights & Biases user or team of the project; null: your default", nullable=True
    )
    wandb_mode: str | None = key_field(
        None,
        "str",
        "online, or offline: write to wandb/ in the run directory for `wandb sync`; null: WANDB_MODE, or offline",
        choices=["offline", "online"],
        nullable=True,
    )
    patience: float = key_field(
        60.0, "float", "seconds to wait at the end for trackers to send their remaining records", min=0
    )


@dataclass(frozen=True)
class Node:
    """A component: a callable and its keyword arguments.

    Attributes:
        group: The configuration group, such as `model`.
        option: The chosen option of the group, such as `resnet18`.
        target: Dotted path of the function or class.
        arguments: The keyword arguments as plain values.
    """

    group: str
    option: str
    target: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class RunConfig:
    """The checked configuration of a run.

    Attributes:
        optim_phases, scheduler_phases: Phase -> its own values in place of those of `optim` or `scheduler`.
        batch_size: Samples of a batch, 0 until data.batch_size=auto is resolved.
        drops_suspected_labels: Whether training samples whose class is probably wrong are left out.
        anomalies: Classes that count as anomalies, by name or number.
        anomaly_quantile: Share of the training samples at or below the threshold of anomalies; None for a task that
            scores none.
        monitor: Full name of the deciding metric, such as val/accuracy.
        maximize: Whether larger values of it are better.
        metrics: Metrics beside those of the task: those of `metrics`, and a monitored one.
        choices: Group -> option, as composed.
        tree: The configuration as plain containers with secrets unresolved, which is saved, compared and shown.
        resolved: The configuration with all values resolved; never saved or printed.
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
    balance: str
    drops_suspected_labels: bool
    anomalies: tuple[str, ...]
    anomaly_quantile: float | None
    decay_norms_and_biases: bool
    layer_decay: float | None
    optim_groups: tuple[Mapping[str, Any], ...]
    optim_phases: Mapping[str, Mapping[str, Any]]
    scheduler_phases: Mapping[str, Mapping[str, Any]]
    regularization: RegularizationConfig
    compression: CompressionConfig
    trainer: TrainerConfig
    logger: LoggerConfig
    monitor: str
    maximize: bool
    metrics: tuple[MetricRequest, ...]
    choices: Mapping[str, str]
    tree: Mapping[str, Any]
    resolved: Mapping[str, Any] = field(repr=False)

    @property
    def data_name(self) -> str:
        """The name of the data: its file or folder for the user's own data, otherwise the option."""
        return data_name(self.data.option, self.tree["data"])

    @property
    def run_name(self) -> str:
        """The name of a run in the name of its directory: the key `name`, or <model>-<data>."""
        return self.name or f"{self.model.option}-{self.data_name}"

    @property
    def data_title(self) -> str:
        """The name of the data, with its option if that is another word: `people (csv)`, `digits`."""
        name, option = self.data_name, self.data.option
        return name if name == option else f"{name} ({option})"

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
    "seed": Field("int", "seed of initialization, data order, augmentation and dropout", minimum=0),
    "deterministic": Field("bool", "refuse nondeterministic operations, at the cost of speed on a GPU"),
    "init_from": Field(
        "path", "run directory or checkpoint to load initial weights from; null: random weights", nullable=True
    ),
    "init_head": Field(
        "str",
        "last layer with init_from: keep loads its weights, new initializes it",
        choices=("keep", "new"),
    ),
    "init_strict": Field(
        "bool",
        "require all weights to be in init_from with the same shape; false: initialize the others and report them",
    ),
    "name": Field(
        "str",
        "name of the run in its directory; null: <model>-<data>, or <model>-<file> with a file or folder of your own",
        nullable=True,
    ),
    "metrics": Field(
        "list[item]",
        "more metrics of each epoch and evaluation: names from dlexp list metrics, metrics of one class such as "
        "recall[yes], names with parameters, and paths of your own functions",
        or_one=True,
    ),
}
SECTIONS: Mapping[str, type] = dict(
    zip(SECTION_NAMES, (TrainerConfig, RegularizationConfig, CompressionConfig, LoggerConfig), strict=True)
)
# Keys of a component's node that dlexp reads itself; all others are arguments of the target.
OWN_KEYS: Mapping[str, tuple[str, ...]] = {
    "data": ("batch_size", "eval_batch_size", "balance", "suspected_labels", "anomalies"),
    "task": ("monitor", "anomaly_quantile"),
    "optim": ("decay_norms_and_biases", "layer_decay", "groups", "phases"),
    "scheduler": ("phases",),
}


def section_fields(section: type, prefix: str) -> dict[str, Field]:
    """Return dotted path -> rule, for a section dataclass and its nested sections."""
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
    """Return the dotted paths that every run has."""
    return (*TOP_LEVEL, *(path for name, section in SECTIONS.items() for path in section_fields(section, name)))


def section_defaults(section: type) -> dict[str, Any]:
    """Return the defaults of a section as nested plain values."""
    hints = get_type_hints(section)
    return {
        item.name: section_defaults(hints[item.name]) if is_dataclass(hints[item.name]) else item.default
        for item in fields(section)
    }


def section_from(section: type, values: Mapping[str, Any]) -> Any:
    """Return the section dataclass of checked values."""
    hints = get_type_hints(section)
    return section(
        **{
            name: section_from(hints[name], value) if is_dataclass(hints[name]) else value
            for name, value in values.items()
        }
    )
