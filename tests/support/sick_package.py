"""A package of somebody's own whose model goes wrong on a certain sample, and the option that names it."""

from __future__ import annotations

from pathlib import Path

import pytest

CODE = '''
import torch
from torch import nn

class Net(nn.Module):
    """Goes wrong in training when a sample of data=digits is in the batch: the one whose pixels add up to most."""

    def __init__(self, in_features, num_classes, fault="value", above=19.0):
        super().__init__()
        hidden = [nn.Linear(in_features, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2)]
        self.net = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(16, num_classes))
        self.fault, self.above = fault, above

    def forward(self, x):
        outputs = self.net(x)
        if self.training and x.flatten(1).sum(1).max().item() > self.above:
            if self.fault == "memory":
                raise MemoryError
            if self.fault == "bug":
                raise ValueError("a bug of my own")
            return outputs * float("nan")
        return outputs
'''
OPTION = "# A network that goes wrong\n_target_: sick_net.Net\nfault: value\nabove: 19.0\n"
WORDS = ("--config-dir", "conf", "--trust", "sick_net", "model=sick", "data.augment=none", "trainer.epochs=2")


def install(folder: Path, monkeypatch: pytest.MonkeyPatch | None = None) -> None:
    """Put the package and its option into `folder`, and make it importable here when `monkeypatch` is given."""
    (folder / "sick_net").mkdir()
    (folder / "sick_net" / "__init__.py").write_text(CODE)
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "conf" / "model" / "sick.yaml").write_text(OPTION)
    if monkeypatch is not None:
        monkeypatch.syspath_prepend(folder)
