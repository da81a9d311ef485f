#!/usr/bin/env bash
# torch 2.15.0: torch.nn.utils.prune on the output layer of nn.MultiheadAttention is not applied when the network runs.
#
# Expected  A pruned layer computes with weight_orig * weight_mask, as the documentation says, so that training goes on
#           and a state dict that is loaded into a pruned network is used.
# Real      The mask is applied by a forward pre-hook, and nn.MultiheadAttention reads out_proj.weight without calling
#           out_proj, so that no hook on it ever runs. The weight stays the product of the moment of pruning: a loaded
#           state dict has no effect on it, without a message, and the second backward pass raises RuntimeError
#           ("backward through the graph a second time"). nn.Linear, pruned alike, does both.
# Exit      0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/python -m pip install --quiet torch==2.15.0 numpy
venv/bin/python - <<'PY'
import sys

import torch
from torch import nn
from torch.nn.utils import prune


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.pruned = self.attention.out_proj

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0]


class Dense(nn.Module):
    def __init__(self):
        super().__init__()
        self.pruned = nn.Linear(8, 8)

    def forward(self, x):
        return self.pruned(x)


def pruned(kind, seed):
    torch.manual_seed(seed)
    network = kind()
    prune.l1_unstructured(network.pruned, "weight", 0.5)
    return network


def takes_state(kind, x):
    """Whether a network computes the same as another one whose state dict it has loaded."""
    one, other = pruned(kind, 0), pruned(kind, 1)
    with torch.no_grad():
        other(x)  # the masks of `other` are applied as usual
        one.load_state_dict(other.state_dict())
        return torch.allclose(one(x), other(x))


def trains(kind, x):
    """Whether two updates can be made."""
    network = pruned(kind, 0)
    for _ in range(2):
        try:
            network(x).square().sum().backward()
        except RuntimeError as error:
            if "second time" not in str(error):
                raise
            return False
    return True


x = torch.randn(2, 5, 8)
print("torch", torch.__version__)
found = {}
for kind in (Dense, Attention):
    found[kind] = (takes_state(kind, x), trains(kind, x))
    print(f"{kind.__name__:9}  a loaded state dict is used: {found[kind][0]}  a second update: {found[kind][1]}")
sys.exit(0 if found == {Dense: (True, True), Attention: (False, False)} else 1)
PY
# Seen on 2026-11-30 (Python 3.11):
#   torch 2.15.0+cu132
#   Dense      a loaded state dict is used: True  a second update: True
#   Attention  a loaded state dict is used: False  a second update: False
