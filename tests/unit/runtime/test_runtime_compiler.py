"""What torch's compiler is kept out of is looked at in processes of their own: this one has imported it long ago."""

from __future__ import annotations

import subprocess
import sys

KINDS = (
    *("SGD", "Adam", "AdamW", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta", "Adamax", "ASGD", "Rprop", "Muon"),
    *("Adafactor", "LBFGS"),
)
# Three updates of each optimizer, with or without torch's own wrappers around the step, to the last bit.
UPDATES = """
import sys, torch
from dlexp.runtime.compiler import spare_compiler
if sys.argv[1] == "spared":
    spare_compiler()
for name in sys.argv[2:]:
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(4, 3))
    optimizer = getattr(torch.optim, name)([weight], lr=0.1)
    def closure():
        optimizer.zero_grad()
        loss = weight.pow(2).sum()
        loss.backward()
        return loss
    for _ in range(3):
        closure()
        optimizer.step(closure if name == "LBFGS" else None)
    assert not weight.grad.requires_grad
    print(name, weight.detach().double().sum().item().hex())
print("torch._dynamo" in sys.modules)
"""


def test_optimizers_step_to_the_same_bits_without_the_compiler() -> None:
    def run(how: str) -> list[str]:
        line = [sys.executable, "-c", UPDATES, how, *KINDS]
        return subprocess.run(line, capture_output=True, text=True, check=True).stdout.splitlines()

    *spared, without = run("spared")
    *usual, loaded = run("as torch does it")
    assert len(spared) == len(KINDS)
    assert spared == usual
    assert (without, loaded) == ("False", "True")
