"""Four tasks of outsiders through every command: tags of padded tokens, masks with an ignored class, sets, a VAE."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from outside_package import OWN, dlexp, installed, report_of, rows_of

PACKAGE = """
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss
from dlexp.data.bundle import SPLITS, DataBundle, Split
from dlexp.data.preprocess import Identity
from dlexp.metrics.states import Mean, MetricState
from dlexp.sequence_specs import TokenSpec, TokenTargetSpec
from dlexp.specs import BoxSpec, DataSpec, ImageSpec, MaskSpec, TableSpec
from dlexp.tasks.base import Phase, Task, forward
from dlexp.types import LossOutput, Prediction, Sequences, select

COUNT = 40

def bundle(spec, inputs, targets, **more):
    rows = dict(zip(SPLITS, torch.arange(COUNT).split([24, 8, 8])))
    splits = {name: Split.in_memory(select(inputs, n), None if targets is None else select(targets, n), n)
              for name, n in rows.items()}
    return DataBundle(spec, splits, Identity(), "40 samples", {}, **more)

def sentences():
    ids, lengths = torch.arange(6) * torch.arange(COUNT)[:, None] % 5, torch.arange(COUNT) % 6 + 1
    spec = DataSpec(TokenSpec(5, 6), TokenTargetSpec(3, 6))
    return bundle(spec, Sequences(ids, lengths), Sequences(ids % 3, lengths))

def scenes(augment, pad):
    masks = torch.stack([torch.eye(8, dtype=torch.int64).roll(n, 0) for n in range(COUNT)])
    images = masks[:, None] + 0.5
    masks[:, 0] = 255
    spec = DataSpec(ImageSpec(1, 8, 8), MaskSpec(("0", "1"), 8, 8, 255))
    return bundle(spec, images, masks, augment=augment, pad=pad)

def crowds(augment, pad):
    lengths = torch.arange(COUNT) % 4
    draw = torch.Generator().manual_seed(0)
    corners = torch.rand(COUNT, 3, 2, generator=draw) * 4
    boxes = torch.cat([corners, corners + 2, torch.zeros(COUNT, 3, 1)], 2)
    images = torch.rand(COUNT, 1, 8, 8, generator=draw) + lengths[:, None, None, None]
    spec = DataSpec(ImageSpec(1, 8, 8), BoxSpec(("a",)))
    return bundle(spec, images, Sequences(boxes, lengths), augment=augment, pad=pad)

def vectors():
    return bundle(DataSpec(TableSpec(4), None), torch.arange(160.0).view(COUNT, 4).sin(), None)

class Tagger(nn.Embedding):
    def forward(self, values, lengths): return super().forward(values)

class Slots(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head, self.count = nn.Linear(64, 8), nn.Linear(8, 12), nn.Linear(8, 4)
    def forward(self, images):
        found = self.body(images.flatten(1)).tanh()
        return torch.cat([self.head(found), self.count(found)], 1)

def vae(in_features):
    return {"encoder": nn.Linear(in_features, 4), "decoder": nn.Linear(2, in_features)}

class Scores(MetricState):
    def __init__(self): self.loss, self.right, self.all = Mean(), 0, 0
    def update(self, p):
        self.loss.add(p)
        known = p.targets >= 0
        self.right += int((p.outputs == p.targets)[known].sum())
        self.all += int(known.sum())
    def merge(self, other):
        self.loss.merge(other.loss)
        self.right, self.all = self.right + other.right, self.all + other.all
    def compute(self): return {"loss": self.loss.value(), "accuracy": self.right / max(1, self.all)}

class Dense(Task):
    metrics = {"loss": "min", "accuracy": "max"}
    def known(self, batch): return batch.targets.values.masked_fill(~batch.targets.mask, -1)
    def scores(self, networks, batch): return forward(networks["model"], batch.inputs).movedim(-1, 1)
    def loss_weight(self, phase, batch): return (self.known(batch) >= 0).sum()
    def loss(self, phase, networks, batch):
        found = self.predict(networks, batch)
        return LossOutput(found.loss, {"accuracy": (found.outputs == found.targets)[found.targets >= 0]})
    def predict(self, networks, batch):
        scores, known = self.scores(networks, batch), self.known(batch)
        total, weight = cross_entropy(scores, known, ignore_index=-1, reduction="sum"), self.loss_weight("", batch)
        return Prediction(scores.argmax(1), known, total / weight.clamp(min=1), batch.indices, weight=weight)
    def metric_state(self, names=()): return Scores()

class Segment(Dense):
    def known(self, batch): return batch.targets.masked_fill(batch.targets == 255, -1)
    def scores(self, networks, batch): return forward(networks["model"], batch.inputs)

class Sets(Task):
    def loss_weight(self, phase, batch): return len(batch) + batch.targets.lengths.sum()
    def terms(self, networks, batch):
        outputs = forward(networks["model"], batch.inputs)
        boxes, counts = outputs[:, :12].view(-1, 3, 4), outputs[:, 12:]
        wanted, lengths = batch.targets.values[..., :4] / 8, batch.targets.lengths
        found = boxes[:, :wanted.shape[1]]
        error = (found - wanted).square().mean(2).masked_fill(~batch.targets.mask, 0).sum()
        return outputs, (error + cross_entropy(counts, lengths, reduction="sum")) / (len(batch) + lengths.sum()), (
            counts.argmax(1) == lengths)
    def loss(self, phase, networks, batch):
        _, value, right = self.terms(networks, batch)
        return LossOutput(value, {"count": right, "boxes": batch.targets.lengths.float()})
    def predict(self, networks, batch):
        outputs, value, _ = self.terms(networks, batch)
        return Prediction(outputs, None, value, batch.indices, weight=self.loss_weight("", batch))

class Vae(Task):
    phases = {"train": Phase(("encoder", "decoder"))}
    def elbo(self, networks, batch):
        mean, spread = networks["encoder"](batch.inputs).chunk(2, 1)
        seen = networks["decoder"](mean + spread.exp() * torch.randn_like(mean))
        divergence = (mean.square() + (2 * spread).exp() - 2 * spread - 1).sum(1) / 2
        return mean, mse_loss(seen, batch.inputs) + 0.01 * divergence.mean(), divergence.detach()
    def loss(self, phase, networks, batch):
        _, value, divergence = self.elbo(networks, batch)
        return LossOutput(value, {"divergence": divergence})
    def predict(self, networks, batch):
        mean, value, _ = self.elbo(networks, batch)
        return Prediction(mean, None, value, batch.indices)
"""
SICK = """
def sick(task):
    class Sick(task):
        def loss(self, phase, networks, batch):
            output = super().loss(phase, networks, batch)
            if 5 in batch.indices.tolist():
                raise RuntimeError(f"sample 5: {float(output.value.detach()):.17g}")
            return output
    return Sick
SickDense, SickSegment, SickSets, SickVae = map(sick, (Dense, Segment, Sets, Vae))
"""
BATCHES = "batch_size: 5, eval_batch_size: 3"
LOSS = "monitor: val/loss"
SCORES = "monitor: val/loss, _metrics_: {loss: min, accuracy: max}"
OPTIONS = {
    "data/sentences": f"{{_target_: outside.sentences, {BATCHES}, _inputs_: tokens, _targets_: tokens}}",
    "data/scenes": f"{{_target_: outside.scenes, {BATCHES}, _targets_: mask, augment: none, pad: 1}}",
    "data/crowds": f"{{_target_: outside.crowds, {BATCHES}, _targets_: boxes, augment: none, pad: 1}}",
    "data/vectors": f"{{_target_: outside.vectors, {BATCHES}, _targets_: none}}",
    "model/tagger": "{_target_: outside.Tagger, num_embeddings: 5, embedding_dim: 3}",
    "model/pixels": "{_target_: torch.nn.Conv2d, out_channels: 2, kernel_size: 3, padding: 1}",
    "model/slots": "{_target_: outside.Slots}",
    "model/vae": "{_target_: outside.vae}",
    **{
        f"task/{name.lower()}": f"{{_target_: outside.{name}, {how}}}"
        for kind, how in (
            ("Dense", SCORES),
            ("Segment", SCORES),
            ("Sets", "monitor: val/loss"),
            ("Vae", "monitor: val/loss"),
        )
        for name in (kind, f"Sick{kind}")
    },
}
MOVED = "data.augment=[crop,flip,{rotate: 20}]"
TASKS = {
    "tags": ("data=sentences", "model=tagger", "task=dense"),
    "masks": ("data=scenes", "model=pixels", "task=segment", MOVED),
    "sets": ("data=crowds", "model=slots", "task=sets", MOVED),
    "vae": ("data=vectors", "model=vae", "task=vae"),
}
SHORT = ("loss=none", "scheduler=constant", "trainer.device=cpu", "trainer.epochs=2", "trainer.accumulate=2", "-q")
TRUST = OWN[2:]


@pytest.fixture(autouse=True)
def outside(tmp_path: Path) -> Iterator[None]:
    with installed(tmp_path, PACKAGE + SICK, OPTIONS):
        yield


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_a_run_is_trained_resumed_evaluated_compared_and_verified(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = TASKS[name]
    dlexp("train", *OWN, *words, *SHORT, "-o", "whole")
    dlexp("train", *OWN, *words, *SHORT, "trainer.epochs=1", "-o", "part")
    dlexp("train", "--resume", "part", "trainer.epochs=2", *TRUST, "-q")
    assert rows_of("part") == rows_of("whole")
    for run in ("whole", "part"):
        dlexp("evaluate", run, *TRUST)
    assert report_of("whole")["metrics"] == report_of("part")["metrics"]
    for batch in (1, 8):  # the mean is over terms, however samples come together; noise is drawn by batch
        dlexp("evaluate", "whole", *TRUST, f"data.eval_batch_size={batch}")
        assert name == "vae" or report_of("whole")["metrics"] == pytest.approx(report_of("part")["metrics"], rel=1e-5)
    dlexp("train", *OWN, *words, *SHORT, "seed=1", "-o", "other")
    dlexp("evaluate", "other", *TRUST)
    dlexp("compare", "whole", "other", "--json")
    dlexp("report", "whole")
    dlexp("verify", *OWN, *words, *SHORT)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("name", TASKS)
def test_a_failed_step_is_kept_and_repeated_without_the_data(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word.replace("task=", "task=sick") for word in TASKS[name]]
    dlexp("train", *OWN, *words, *SHORT, "-o", "run", code=1)
    assert "sample 5:" in capsys.readouterr().err
    assert (Path("run") / "crash" / "capsule.pt").is_file()
    capsys.readouterr()
    dlexp("replay", "run", *TRUST, "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["reproduced"] and found["kept"]["error"]["message"].startswith("sample 5:")
    stored = torch.load("run/crash/capsule.pt")["micro_batches"]
    assert any(5 in parts[2].tolist() for parts in stored)
