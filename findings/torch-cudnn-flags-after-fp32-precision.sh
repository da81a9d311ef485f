#!/usr/bin/env bash
# torch 2.15.0: torch.backends.cudnn.flags() raises once float32 products are set to full precision by fp32_precision.
#
# Expected  fp32_precision, which replaces allow_tf32, and the context manager cudnn.flags(enabled=False), which wants
#           to switch cuDNN off for a block, do not disturb each other.
# Real      With torch.backends.fp32_precision = "ieee", or with cudnn.conv and cudnn.rnn both set to "ieee", flags()
#           raises RuntimeError and says that "cuDNN conv and cuDNN RNN have different TF32 flags", though both are
#           equal; so does what uses it, such as the exporter to ONNX. With the older allow_tf32 = False it works. No
#           GPU is needed to see it.
# Exit      0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/python -m pip install --quiet torch==2.15.0 numpy
cat > try.py <<'PY'
import sys

import torch

cudnn = torch.backends.cudnn
given = sys.argv[1]
if given == "parts":
    cudnn.conv.fp32_precision = cudnn.rnn.fp32_precision = "ieee"
elif given == "whole":
    torch.backends.fp32_precision = "ieee"
elif given == "older":
    cudnn.allow_tf32 = False
seen = [cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision]
try:
    with cudnn.flags(enabled=False):
        works = True
except RuntimeError as error:
    if "different TF32 flags" not in str(error):
        raise
    works = False
print(f"set: {given:8} conv and rnn: {seen}  cudnn.flags() {'works' if works else 'raises RuntimeError'}")
sys.exit(0 if works == (given in ("nothing", "older")) else 1)
PY
venv/bin/python -c 'import torch; print("torch", torch.__version__)'
for given in nothing older whole parts; do
  venv/bin/python try.py "$given"
done
# Seen on 2026-11-30 (Python 3.11):
#   torch 2.15.0+cu132
#   set: nothing  conv and rnn: ['tf32', 'tf32']  cudnn.flags() works
#   set: older    conv and rnn: ['none', 'none']  cudnn.flags() works
#   set: whole    conv and rnn: ['ieee', 'ieee']  cudnn.flags() raises RuntimeError
#   set: parts    conv and rnn: ['ieee', 'ieee']  cudnn.flags() raises RuntimeError
