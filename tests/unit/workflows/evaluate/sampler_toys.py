"""Generative models of a user's own that learn nothing: one puts out training samples, one draws each number alone.

A network keeps the training samples that it is shown. `kind` says what it makes of them: a copy of one (of the class
that is asked for), numbers drawn with the mean and the deviation of each place, zeros, or numbers that are not finite.
"""

PACKAGE = """
from dataclasses import replace
import numpy as np
import torch
from torch import nn
from dlexp.data.bundle import Modes
from dlexp.data.splitting import split_rows
from dlexp.data.tables.encoding import build_table
from dlexp.tasks.generative.base import GenerativeTask, class_weights
from dlexp.types import LossOutput, Prediction
def three():
    centers, labels = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]]), np.arange(300) % 3
    points = centers[labels] + 0.1 * np.random.default_rng(0).standard_normal((300, 2))
    rows = split_rows(300, (0.1, 0.2, 0), labels, ("a", "b", "c"))
    made = build_table(dict(zip("xy", points.T)), labels, ("a", "b", "c"), (), rows, True)
    return replace(made, modes=Modes(centers, 0.1))
class Keeps(nn.Module):
    def __init__(self, *, input_shape, num_classes=0, kind="copies", is_conditional=False, most=2000):
        super().__init__()
        self.kind, self.is_conditional = kind, is_conditional
        self.scale = nn.Parameter(torch.ones(()))
        self.register_buffer("kept", torch.full((most, *input_shape), torch.nan))
        self.register_buffer("classes", torch.full((most,), -1))
    def keep(self, batch):
        self.kept[batch.indices] = batch.inputs
        if batch.targets is not None:
            self.classes[batch.indices] = batch.targets
    def make(self, latents, weights):
        there = self.kept.flatten(1).isfinite().all(1)
        kept, classes = self.kept[there], self.classes[there]
        if self.kind == "zeros":
            return torch.zeros(len(latents), *kept.shape[1:])
        if self.kind == "broken":
            return torch.full((len(latents), *kept.shape[1:]), torch.nan)
        if self.kind == "gaussian":
            noise = latents[:, :1].new_empty(len(latents), kept[0].numel())
            for row, seed in zip(noise, latents[:, 0].double()):
                row.normal_(generator=torch.Generator().manual_seed(int(seed.abs() * 1e15)))
            return kept.mean(0) + kept.std(0) * noise.reshape(-1, *kept.shape[1:])
        chosen = (latents[:, 0].double().abs() * 1e9).long() % len(kept)
        if weights is not None:
            for row, one in enumerate(weights.argmax(1)):
                of_class = (classes == one).nonzero().flatten()
                chosen[row] = of_class[chosen[row] % len(of_class)]
        return kept[chosen]
class Toy(GenerativeTask):
    metrics = {"loss": "min"}
    def loss(self, phase, networks, batch):
        networks["model"].keep(batch)
        return LossOutput((networks["model"].scale - 1).square())
    def predict(self, networks, batch):
        loss = (networks["model"].scale - 1).square()
        return Prediction(batch.inputs, None, loss, batch.indices, {})
    def options(self, networks):
        return frozenset({"classes"}) if networks["model"].is_conditional else frozenset()
    def noise_shape(self, networks): return (2,)
    def decoded(self, networks, latents, sampling): return networks["model"].make(latents, sampling.classes)
"""
_TASK = "_outputs_: none\n_phases_: [train]\nmonitor: val/loss\n_metrics_: {loss: min}\n"
OPTIONS = {
    "data/three": "{_target_: outside.three, batch_size: 64, eval_batch_size: 64, _inputs_: tabular, _targets_: class}",
    "model/keeps": "_target_: outside.Keeps\n_prefers_: {task: toy, data.augment: none}\n"
    "kind: copies\nis_conditional: false\n",
    "task/toy": f"_target_: outside.Toy\n{_TASK}_range_: [0, 1]\n",
    "task/toy_wide": f"_target_: outside.Toy\n{_TASK}_range_: [-1, 1]\n",
}
WORDS = ("model=keeps", "loss=none", "trainer.epochs=1", "trainer.device=cpu", "trainer.sample_every=0")
