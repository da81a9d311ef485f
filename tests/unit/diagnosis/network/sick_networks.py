"""A package of somebody's own whose networks have one mistake each, and the runs that train them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dlexp
from dlexp.config.files.catalog import Catalog
from dlexp.diagnosis.verdict import Verdict
from dlexp.workflows.doctor.doctor import examine_run
from dlexp.workflows.doctor.examine import ExamineRequest

CODE = '''
import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    """Two hidden layers, whose activation is a function, and a mistake."""

    def __init__(self, *, in_features, num_outputs, fault="none", activation="relu"):
        super().__init__()
        self.fault, self.activation = fault, getattr(torch, activation)
        self.first, self.second = nn.Linear(in_features, 48), nn.Linear(48, 32)
        self.norm = nn.BatchNorm1d(32, momentum=1e-4) if fault == "stale" else nn.Identity()
        self.extra = nn.Linear(32, 64) if fault == "extra" else None
        self.head = nn.Linear(32, num_outputs)
        with torch.no_grad():
            if fault == "dead":
                self.first.bias.fill_(-4)
                self.second.bias.fill_(-4)
            if fault == "saturated":
                self.first.weight.mul_(20)
                self.second.weight.mul_(20)
            if fault == "large":
                self.head.weight.mul_(60)
        if fault == "half":
            self.bfloat16()
        if fault == "frozen":
            self.first.requires_grad_(False)
            self.second.requires_grad_(False)

    def forward(self, x):
        x = x.bfloat16() if self.fault == "half" else x
        x = self.activation(self.first(x.flatten(1)))
        x = self.activation(self.norm(self.second(x)))
        x = self.head(x.detach() if self.fault == "cut" else x).float()
        if self.fault in ("softmax", "log_softmax"):
            return getattr(F, self.fault)(x, dim=1)
        return {"sigmoid_end": torch.sigmoid, "relu_end": F.relu}.get(self.fault, nn.Identity())(x)


class Packed(nn.Module):
    """torch's recurrent layer over packed sequences, with its last state."""

    def __init__(self, *, in_channels, num_outputs, units=16):
        super().__init__()
        self.rnn, self.head = nn.RNN(in_channels, units, batch_first=True), nn.Linear(units, num_outputs)
        nn.init.eye_(self.rnn.weight_hh_l0)
        with torch.no_grad():
            self.rnn.weight_hh_l0.mul_(0.5)

    def forward(self, values, lengths):
        own = lengths.clamp(min=1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(values, own, batch_first=True, enforce_sorted=False)
        return self.head(self.rnn(packed)[1][0])
'''
OPTIONS = {
    "net": "# A network with a mistake\n_target_: own_networks.Net\nfault: none\nactivation: relu\n",
    "packed": "# A recurrent network\n_inputs_: series\n_target_: own_networks.Packed\nunits: 16\n",
}


@contextmanager
def own_networks(folder: Path) -> Iterator[Catalog]:
    """The package, importable, and the catalog with its options; it is forgotten afterwards."""
    (folder / "own_networks.py").write_text(CODE)
    (folder / "conf" / "model").mkdir(parents=True)
    for name, text in OPTIONS.items():
        (folder / "conf" / "model" / f"{name}.yaml").write_text(text)
    path = list(sys.path)
    sys.path.insert(0, str(folder))
    try:
        yield Catalog((folder / "conf",))
    finally:
        sys.path[:] = path
        sys.modules.pop("own_networks", None)


def findings(folder: Path, catalog: Catalog, words: Sequence[str]) -> list[Verdict]:
    """What the doctor finds in a run of these words."""
    run = dlexp.train(
        *words, run_dir=folder / "run", progress=False, config_dirs=catalog.config_dirs, trust=["own_networks"]
    )
    return list(examine_run(Path(run.path), catalog, ExamineRequest(trusted=("own_networks",))).findings)
