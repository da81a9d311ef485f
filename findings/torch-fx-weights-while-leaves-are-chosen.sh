#!/usr/bin/env bash
# torch 2.15.0: in Tracer.is_leaf_module of torch.fx, a layer's weight is no parameter, and asking for it changes the graph.
#
# Expected  is_leaf_module(module, name), which is there to be overridden, is asked before a layer is traced; a rule
#           such as "layers whose weight is a parameter of two dimensions are leaves" can read module.weight.
# Real      Inside it module.weight is a torch.fx.Proxy: isinstance(weight, nn.Parameter) is False and weight.shape is
#           a proxy too, so the rule is never true, without an error. Each such question also adds a get_attr node
#           without users to the graph.
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
import torch.fx
from torch import nn

print("torch", torch.__version__)
seen = []


class Tracer(torch.fx.Tracer):
    def is_leaf_module(self, module, name):
        if isinstance(module, nn.Linear):
            seen.append((type(module.weight).__name__, isinstance(module.weight, nn.Parameter)))
        return super().is_leaf_module(module, name)


network = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
before = isinstance(network[0].weight, nn.Parameter)
graph = Tracer().trace(network)
asked = [node.target for node in graph.nodes if node.op == "get_attr" and not node.users]
print(f"outside of tracing: a parameter: {before}; in is_leaf_module: {seen[0][0]}, a parameter: {seen[0][1]}")
print(f"nodes without users: {asked}")
sys.exit(0 if before and seen == [("Proxy", False)] and asked == ["0.weight"] else 1)
PY
venv/bin/python try.py
# Seen on 2026-11-30 (Python 3.11):
#   torch 2.15.0+cu132
#   outside of tracing: a parameter: True; in is_leaf_module: Proxy, a parameter: False
#   nodes without users: ['0.weight']
