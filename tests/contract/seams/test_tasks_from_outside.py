"""Two tasks come from outside of dlexp: the next token of sequences of different lengths, and masks of images."""

from pathlib import Path

import pytest
from outside_package import OWN, dlexp, installed, rows_of

PACKAGE = """
import torch
from torch.nn.functional import cross_entropy
from dlexp.data.bundle import SPLITS, DataBundle, Split
from dlexp.data.preprocess import Identity
from dlexp.metrics.reports.figures import ConfusionMatrix
from dlexp.metrics.reports.report import Report, Table
from dlexp.metrics.states import Mean, MetricState
from dlexp.sequence_specs import TokenSpec, TokenTargetSpec
from dlexp.specs import DataSpec, ImageSpec, MaskSpec
from dlexp.tasks.base import Task, forward
from dlexp.types import LossOutput, Prediction, Sequences, select
def bundle(inputs, targets, *spec, **more):
    rows = dict(zip(SPLITS, torch.arange(40).split([24, 8, 8])))
    splits = {name: Split.in_memory(select(inputs, n), select(targets, n), n) for name, n in rows.items()}
    return DataBundle(DataSpec(*spec), splits, Identity(), "40 samples", {}, **more)
def counting():
    ids, lengths = torch.arange(9) * torch.arange(40)[:, None] % 7, torch.arange(40) % 7 + 1
    return bundle(*(Sequences(v, lengths) for v in (ids[:, :-1], ids[:, 1:])), TokenSpec(7, 8), TokenTargetSpec(7, 8))
def squares(augment, pad):
    masks = torch.stack([torch.eye(8, dtype=torch.int64).roll(n, 0) for n in range(40)])
    return bundle(masks[:, None] + 0.5, masks, ImageSpec(1, 8, 8), MaskSpec(("0", "1"), 8, 8), augment=augment, pad=pad)
class Sums(torch.nn.Embedding):
    def forward(self, values, lengths): return super().forward(values).cumsum(1)
class Pairs(MetricState):
    def __init__(self, size): self.loss, self.pairs = Mean(), torch.zeros(size, size, dtype=torch.int64)
    def update(self, p):
        self.loss.add(p)
        found = (p.targets * len(self.pairs) + p.outputs)[p.targets >= 0]
        self.pairs += found.bincount(minlength=len(self.pairs) ** 2).view_as(self.pairs)
    def merge(self, other): self.loss.merge(other.loss), self.pairs.add_(other.pairs)
    def iou(self): return self.pairs.diag() / (self.pairs.sum(0) + self.pairs.sum(1) - self.pairs.diag()).clamp(min=1)
    def compute(self): return {"loss": self.loss.value(), "iou": float(self.iou().mean())}
class NextToken(Task):
    metrics = {"loss": "min", "iou": "max"}
    def __init__(self, spec): self.size = spec.num_outputs
    def known(self, batch): return batch.targets.values.masked_fill(~batch.targets.mask, -100)
    def scores(self, networks, batch): return forward(networks["model"], batch.inputs).movedim(-1, 1)
    def hits(self, chosen, known): return (chosen == known)[known >= 0]
    def loss_weight(self, phase, batch): return (self.known(batch) >= 0).sum()
    def loss(self, phase, networks, batch):
        found = self.predict(networks, batch)
        return LossOutput(found.loss, {"accuracy": self.hits(found.outputs, found.targets)})
    def predict(self, networks, batch):
        scores, known, weight = self.scores(networks, batch), self.known(batch), self.loss_weight("", batch)
        return Prediction(scores.argmax(1), known, cross_entropy(scores, known), batch.indices, weight=weight)
    def metric_state(self, names=()): return Pairs(self.size)
    def report(self, spec, state, resampling=None):
        cells = [(*at, int(state.pairs[tuple(at)])) for at in state.pairs.nonzero().tolist()]
        figure = ConfusionMatrix("Places of {split}", cells, [str(n) for n in range(self.size)])
        table = Table(("class", "iou"), list(enumerate(state.iou().tolist())), "Overlap of each class")
        return Report(state.compute(), tables={"iou": table}, figures={"pairs": figure})
class Segmentation(NextToken):
    def known(self, batch): return batch.targets
    def scores(self, networks, batch): return forward(networks["model"], batch.inputs)
    def hits(self, chosen, known): return chosen == known"""
OPTIONS = {
    "data/counting": "{_target_: outside.counting, batch_size: 4, eval_batch_size: 8}",
    "data/squares": "{_target_: outside.squares, batch_size: 4, eval_batch_size: 8, augment: none, pad: 1}",
    "model/sums": "{_target_: outside.Sums, num_embeddings: 7, embedding_dim: 7}",
    "model/pixels": "{_target_: torch.nn.Conv2d, out_channels: 2, kernel_size: 3, padding: 1}",
    "task/next_token": "{_target_: outside.NextToken, monitor: val/iou, _metrics_: {loss: min, iou: max}}",
    "task/segmentation": "{_target_: outside.Segmentation, monitor: val/loss, _metrics_: {loss: min, iou: max}}",
}
TOKENS = ("data=counting", "model=sums", "task=next_token", "loss=none", "trainer.accumulate=2")
MASKS = ("data=squares", "model=pixels", "task=segmentation", "loss=none", "trainer.accumulate=2", "data.augment=flip")


@pytest.mark.parametrize("words", [TOKENS, MASKS], ids=["tokens", "masks"])
def test_a_task_from_outside_trains_and_is_evaluated(words: tuple[str, ...], tmp_path: Path) -> None:
    with installed(tmp_path, PACKAGE, OPTIONS):
        dlexp("train", *OWN, *words, "trainer.device=cpu", "trainer.epochs=2", "-o", "run")
        dlexp("evaluate", "run", *OWN[2:])
    assert all(0 <= row[name] <= 1 for row in rows_of("run") for name in ("train/accuracy", "val/iou"))
