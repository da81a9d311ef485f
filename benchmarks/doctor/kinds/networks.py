"""The words of the healthy networks that faults are planted in: small, and a few seconds of one core each."""

from __future__ import annotations

from benchmarks.doctor.kinds.kind import Words

_ONE = {"trainer.threads": "1"}
_DIGITS = {**_ONE, "data": "digits", "data.augment": "none"}
_FILE = {**_ONE, "data": "csv", "data.target": "target", "data.split_column": "part"}

_OWN = {
    "mlp": {"trainer.epochs": "10"},
    "cnn": {"trainer.epochs": "12", "optim.lr": "4e-3"},
    "attention": {"trainer.epochs": "15", "optim.lr": "6e-3"},
}

MLP: Words = {**_DIGITS, "model": "mlp", "model.hidden": "[128,64]", "trainer.epochs": "12"}
BARE_MLP: Words = {**MLP, "model.norm": "none", "model.dropout": "0.0"}
CNN: Words = {
    **_DIGITS, "model": "simple_cnn", "model.channels": "[8,16]", "model.fc": "64", "model.dropout": "0.2",
    "trainer.epochs": "10",
}  # fmt: skip
BARE_CNN: Words = {**CNN, "model.norm": "none", "model.dropout": "0.0"}
VIT: Words = {
    **_DIGITS, "model": "vit", "model.token": "32", "model.blocks": "2", "model.patch": "2", "trainer.epochs": "12",
}  # fmt: skip


def own(option: str, body: str) -> Words:
    """One of `sick_networks` on the digits."""
    return {**_DIGITS, "model": option, "model.body": body, **_OWN[body]}


def images(words: Words, name: str) -> Words:
    """The same network on a file of digits."""
    kept = {key: value for key, value in words.items() if key != "data.augment"}
    return {**kept, "data": "arrays", "data.path": f"@{name}", "data.split_column": "part", "data.batch_size": "64"}


def table(network: str, name: str, epochs: int = 15) -> Words:
    """A network of tables on a file."""
    words = {**_FILE, "data.path": f"@{name}", "model": network, "trainer.epochs": str(epochs)}
    if network == "ft_transformer":
        return {**words, "model.token": "16", "model.blocks": "1", "model.heads": "2"}
    return {**words, "model.hidden": "[64,32]"}


def adding(network: str, length: int = 20) -> Words:
    """The adding problem."""
    return {
        **_ONE, "data": "adding", "data.length": str(length), "data.num_samples": "1500", "model": network,
        "model.token": "16", "model.units": "32", "model.layers": "1", "model.dropout": "0.0", "trainer.epochs": "12",
        "optim.lr": "1e-2", "trainer.clip_norm": "1.0",
    }  # fmt: skip
