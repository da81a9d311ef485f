"""Names that other tools use for configuration keys and groups, for suggestions only: none of them is accepted.

A name is listed if its value means the same here, so that the suggestion can be pasted with the value as typed.
"""

from __future__ import annotations

from collections.abc import Mapping

# Last part of a key, in lower case with underscores -> key or group.
SYNONYMS: Mapping[str, str] = {
    "arch": "model",
    "architecture": "model",
    "backbone": "model",
    "batchsize": "data.batch_size",
    "bs": "data.batch_size",
    "criterion": "loss",
    "dataset": "data",
    "learning_rate": "optim.lr",
    "lr_scheduler": "scheduler",
    "max_epochs": "trainer.epochs",
    "n_epochs": "trainer.epochs",
    "net": "model",
    "network": "model",
    "num_epochs": "trainer.epochs",
    "num_workers": "data.workers",
    "random_seed": "seed",
    "random_state": "seed",
    "wd": "optim.weight_decay",
}


def synonym(name: str) -> str | None:
    """Return the key or group that another tool calls `name`, such as `learning-rate` or `optim.learning_rate`."""
    return SYNONYMS.get(name.rpartition(".")[2].lower().replace("-", "_"))
