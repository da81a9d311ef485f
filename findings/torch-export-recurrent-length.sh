#!/usr/bin/env bash
# torch 2.15.0: torch.export makes the length of nn.RNN, nn.LSTM and nn.GRU a constant, and refuses a dynamic one.
#
# Expected  A recurrent layer does the same at every step, so that an exported program, and an ONNX file made of it,
#           takes sequences of any length, as its operators (LSTM of ONNX) do.
# Real      The length of the example becomes a constant of the trace: with a dynamic length torch.export.export raises
#           "Constraints violated", strict or not, and torch.onnx.export(dynamo=True) fails for all three. The same
#           layer written as torch's `scan` over its gates is exported for any length, and agrees up to rounding.
# Exit      0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/python -m pip install --quiet torch==2.15.0 numpy
venv/bin/python - <<'PY'
import logging
import sys
import warnings

import torch
from torch import nn
from torch._higher_order_ops.scan import scan

warnings.simplefilter("ignore")
logging.disable(logging.ERROR)  # the same refusals again, with traces
FREE = torch.export.Dim.DYNAMIC


def exported(network, strict):
    """The program for any batch size and length, or None where the length is a constant."""
    example = torch.randn(2, 5, 3)
    try:
        return torch.export.export(network, (example,), dynamic_shapes=({0: FREE, 1: FREE},), strict=strict)
    except Exception as error:
        if "constant" not in str(error):
            raise
        return None


class Scanned(nn.Module):
    """nn.RNN by torch's scan."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        layer = self.layer
        product = x @ layer.weight_ih_l0.T + layer.bias_ih_l0

        def step(state, own):
            after = (own + state @ layer.weight_hh_l0.T + layer.bias_hh_l0).tanh()
            return after, after.clone()

        return scan(step, product.new_zeros(x.shape[0], layer.hidden_size), product.transpose(0, 1))[1].transpose(0, 1)


torch.manual_seed(0)
print("torch", torch.__version__)
refused = []
for kind in (nn.RNN, nn.LSTM, nn.GRU):
    layer = kind(3, 4, batch_first=True).eval()
    for strict in (False, True):
        refused.append(exported(layer, strict) is None)
        print(f"{kind.__name__:4}  strict={strict}  length {'a constant: refused' if refused[-1] else 'free'}")
layer = nn.RNN(3, 4, batch_first=True).eval()
program = exported(Scanned(layer), False)
longer = torch.randn(3, 9, 3)
difference = float("inf")
if program is not None:
    difference = (program.module()(longer) - layer(longer)[0]).abs().max().item()
print(f"RNN by scan, exported at length 5, at length 9: largest difference to nn.RNN {difference:.1e}")
sys.exit(0 if all(refused) and difference < 1e-5 else 1)
PY
# Seen on 2026-11-30 (Python 3.11):
#   torch 2.15.0+cu132
#   RNN   strict=False  length a constant: refused
#   RNN   strict=True  length a constant: refused
#   LSTM  strict=False  length a constant: refused
#   LSTM  strict=True  length a constant: refused
#   GRU   strict=False  length a constant: refused
#   GRU   strict=True  length a constant: refused
#   RNN by scan, exported at length 5, at length 9: largest difference to nn.RNN 7.5e-08
