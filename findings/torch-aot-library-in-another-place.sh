#!/usr/bin/env bash
# torch 2.15.0: a network compiled ahead of time to a given path does not run if one of its calls is left to torch.
#
# Expected  The option aot_inductor.output_path only says where the library is written: what runs from the compiler's
#           own folder runs from there.
# Real      Calls without a C shim (such as linalg.pinv) are listed in a JSON file beside the library, and the runner
#           looks for it under the library's own name. With a path, the library gets that name and the list keeps the
#           one of the compiler's cache: loading succeeds, and the first call raises RuntimeError ("Unable to find a
#           proxy executor"). A network without such calls runs from both places. With the list renamed, both run.
# Exit      0 while the behavior is as described, 1 when it has changed. Needs a C++ compiler.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/python -m pip install --quiet torch==2.15.0 numpy setuptools
TORCHINDUCTOR_CACHE_DIR="$room/cache" venv/bin/python - <<'PY' 2>/dev/null
import sys
from pathlib import Path

import torch
from torch import nn


class WithLeftCall(nn.Module):
    def forward(self, x):
        return torch.linalg.pinv(x).sum()


class Plain(nn.Module):
    def forward(self, x):
        return (x @ x).sum()


def runs(library, network, example):
    """Whether the library computes what the network does."""
    try:
        return torch.allclose(torch._export.aot_load(str(library), "cpu")(example), network(example))
    except RuntimeError as error:
        if "proxy executor" not in str(error):
            raise
        return False


example = torch.eye(4) * 2
print("torch", torch.__version__)
seen = {}
for network in (Plain(), WithLeftCall()):
    name = type(network).__name__
    for given in (False, True):
        folder = Path(f"{name}-{given}").absolute()
        folder.mkdir()
        options = {"aot_inductor.output_path": str(folder / "network.so")} if given else {}
        program = torch.export.export(network, (example,)).module()
        library = Path(torch._inductor.aot_compile(program, (example,), options=options))
        seen[name, given] = runs(library, network, example)
        place = "to a given path" if given else "to the cache"
        print(f"{name:12} compiled {place:15} {'runs' if seen[name, given] else 'does not run'}")
(calls,) = folder.glob("*.wrapper.json")
calls.rename(folder / "network.json")
renamed = runs(folder / "network.so", network, example)
print(f"{name:12} with the list renamed       {'runs' if renamed else 'does not run'}")
wanted = {("Plain", False): True, ("Plain", True): True, ("WithLeftCall", False): True, ("WithLeftCall", True): False}
sys.exit(0 if seen == wanted and renamed else 1)
PY
# Seen on 2026-11-30 (Python 3.11):
#   torch 2.15.0+cu132
#   Plain        compiled to the cache    runs
#   Plain        compiled to a given path runs
#   WithLeftCall compiled to the cache    runs
#   WithLeftCall compiled to a given path does not run
#   WithLeftCall with the list renamed       runs
