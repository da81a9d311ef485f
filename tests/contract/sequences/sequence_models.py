"""The models of sequences, small, by option; and inputs for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from dlexp.config.files.catalog import Catalog
from dlexp.config.nodes import resolve

VOCABULARY, CHANNELS, OUTPUTS = 11, 3, 5
LENGTHS = [7, 2, 5, 1, 7, 0]
CATALOG = Catalog()
RECURRENT = ("dlexp.models.recurrent.", "dlexp.models.temporal.")
# Small sizes for the keys that have one.
SMALL: Mapping[str, Any] = {"token": 8, "units": 6, "channels": [6, 8, 6], "filters": 4, "kernel": 3}


def own_values(option: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(CATALOG.options("model")[option].path.read_text(encoding="utf-8"))
    return values


MODELS = tuple(name for name in CATALOG.options("model") if own_values(name)["_target_"].startswith(RECURRENT))
# Every way to read a sequence: option, keys that differ from its file. Those without `pooling` may be causal.
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in MODELS},
    **{f"{name}-two layers": (name, {"layers": 2}) for name in ("rnn", "recurrent_cells")},
    **{f"cell {cell}": ("recurrent_cells", {"cell": cell}) for cell in ("rnn", "gru", "gru_reset_before")},
}
TWO_DIRECTIONS = {f"{name}-both": (option, {**keys, "bidirectional": True}) for name, (option, keys) in WAYS.items()}
TWO_DIRECTIONS = {name: way for name, way in TWO_DIRECTIONS.items() if "bidirectional" in own_values(way[0])}
POOLED = {
    f"{option}-{pooling}": (option, {"pooling": pooling})
    for option in ("lstm", "tcn")
    for pooling in ("last", "mean", "max", "final", "attention")
    if (option, pooling) != ("tcn", "final")
} | {
    f"gru-both-{pooling}": ("gru", {"pooling": pooling, "bidirectional": True})
    for pooling in ("mean", "max", "final", "attention")
}
BY_POSITION = {name: way for name, way in (WAYS | TWO_DIRECTIONS).items() if way[0] != "text_cnn"}
CAUSAL = {name: way for name, way in WAYS.items() if way[0] != "text_cnn"}


def built(way: tuple[str, Mapping[str, Any]], **facts: Any) -> nn.Module:
    """The network of a way, in evaluation mode, of tokens unless `in_channels` is among the facts."""
    option, keys = way
    values = {key: value for key, value in own_values(option).items() if not key.startswith("_")}
    arguments = values | {key: value for key, value in SMALL.items() if key in values} | dict(keys) | facts
    if "in_channels" not in arguments:
        arguments["vocabulary_size"] = VOCABULARY
    torch.manual_seed(0)
    network = resolve(own_values(option)["_target_"], ())(**{"num_outputs": OUTPUTS} | arguments)
    assert isinstance(network, nn.Module)
    return network.eval()


def sequences(kind: str, lengths: list[int] | None = None, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Values padded with zeros, and lengths."""
    own = torch.tensor(LENGTHS if lengths is None else lengths)
    source = torch.Generator().manual_seed(seed)
    shape = (len(own), int(own.max()))
    if kind == "tokens":
        values = torch.randint(1, VOCABULARY, shape, generator=source)
    else:
        values = torch.randn(*shape, CHANNELS, generator=source)
    kept = torch.arange(shape[1]) < own[:, None]
    return values * (kept if kind == "tokens" else kept[..., None]), own


def facts(kind: str) -> dict[str, Any]:
    return {} if kind == "tokens" else {"in_channels": CHANNELS}
