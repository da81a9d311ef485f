"""A package of two generative tasks, for tests: one makes samples of noise step by step, for classes; one encodes."""

from __future__ import annotations

PACKAGE = """
import torch
from torch import nn
from dlexp.tasks.generative.base import GenerativeTask, class_weights, noise
from dlexp.types import LossOutput, Prediction

class Net(nn.Module):
    def __init__(self, *, input_shape):
        super().__init__()
        size = torch.Size(input_shape).numel()
        self.down = nn.Sequential(nn.Flatten(), nn.Linear(size, 6), nn.BatchNorm1d(6), nn.Dropout(0.5))
        self.up = nn.Sequential(nn.Linear(6, size), nn.Sigmoid(), nn.Unflatten(1, tuple(input_shape)))
    def forward(self, inputs): return self.up(self.down(inputs))

class Toy(GenerativeTask):
    metrics = {"loss": "min", "error": "min"}
    def __init__(self, *, spec, loss): super().__init__(spec=spec)
    def errors(self, networks, batch):
        return (networks["model"](batch.inputs) - batch.inputs).square().flatten(1).mean(1)
    def loss(self, phase, networks, batch):
        found = self.errors(networks, batch)
        return LossOutput(found.mean(), {"error": found.mean().detach()})
    def predict(self, networks, batch):
        found = self.errors(networks, batch)
        return Prediction(found[:, None], None, found.mean(), batch.indices, {"error": found})

class Painter(Toy):
    def options(self, networks):
        return frozenset({"steps", "guidance"} | ({"classes"} if self.num_classes else set()))
    def noise_shape(self, networks): return self.spec.inputs.shape
    def decoded(self, networks, latents, sampling):
        steps = sampling.steps or 2
        for step in range(steps):
            fresh = noise(latents.shape[1:], sampling.seed, sampling.indices, "step", step).to(latents.device)
            latents = networks["model"](latents) * (sampling.guidance or 1) + 0.1 * fresh
            sampling.progress(step + 1, steps)
        if sampling.classes is None: return latents
        weights = torch.linspace(0, 1, self.num_classes, device=latents.device)
        level = (sampling.classes @ weights).reshape(-1, *[1] * (latents.dim() - 1))
        return torch.cat([level.expand_as(latents[..., :1]), latents[..., 1:]], -1)  # the class is in the first column

class Coder(Toy):
    def noise_shape(self, networks): return (6,)
    def encoded(self, networks, batch): return networks["model"].down(batch.inputs)
    def decoded(self, networks, latents, sampling): return networks["model"].up(latents)
"""
TASK = "_phases_: [train], _outputs_: none, _range_: [0, 1], monitor: val/loss, _metrics_: {loss: min, error: min}"
OPTIONS = {
    "model/net": "{_target_: outside.Net}",
    "task/painter": f"{{_target_: outside.Painter, {TASK}}}",
    "task/coder": f"{{_target_: outside.Coder, {TASK}}}",
}
SHORT = (
    *("model=net", "loss=none", "data.batch_size=512", "scheduler=constant", "trainer.device=cpu", "trainer.epochs=2"),
    "-q",
)
