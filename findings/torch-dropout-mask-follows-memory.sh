#!/usr/bin/env bash
# torch 2.15.0: the mask that F.dropout draws depends on the memory format of its input, those of its relatives do not.
#
# Expected  With one seed, two tensors that are equal (torch.equal) lose the same elements, whether they lie in memory
#           channel by channel or channels last: torch.bernoulli, F.dropout2d and F.rrelu do just that.
# Real      On the CPU F.dropout of four dimensions fills its mask in the order of memory: of images in channels_last
#           other elements are zeroed than of the same images contiguous. So switching the memory format, which is
#           documented as a matter of speed, changes a training with dropout on maps though the seed stays.
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
import torch.nn.functional as F

print("torch", torch.__version__)
plain = torch.ones(2, 3, 4, 4)
last = plain.contiguous(memory_format=torch.channels_last)
assert torch.equal(plain, last)


def alike(draw):
    found = []
    for images in (plain, last):
        torch.manual_seed(0)
        found.append(draw(images))
    return torch.equal(*found)


seen = {
    "dropout": alike(lambda images: F.dropout(images, 0.5)),
    "dropout2d": alike(lambda images: F.dropout2d(images, 0.5)),
    "bernoulli": alike(lambda images: torch.bernoulli(images * 0.5)),
    "rrelu": alike(lambda images: F.rrelu(-images, training=True)),
}
for name, same in seen.items():
    print(f"{name:10} of equal images in two memory formats, one seed: {'the same' if same else 'another'} result")
sys.exit(0 if seen == {"dropout": False, "dropout2d": True, "bernoulli": True, "rrelu": True} else 1)
PY
venv/bin/python try.py
# Seen on 2026-11-30 (Python 3.11):
#   torch 2.15.0+cu132
#   dropout    of equal images in two memory formats, one seed: another result
#   dropout2d  of equal images in two memory formats, one seed: the same result
#   bernoulli  of equal images in two memory formats, one seed: the same result
#   rrelu      of equal images in two memory formats, one seed: the same result
