"""Images and texts in one space: the loss, the metrics of whole splits, and the task."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dlexp.data.bundle import DataBundle
from dlexp.data.loaders import EvalBatches
from dlexp.data.sources.captions.digit_captions import digit_captions
from dlexp.engine.evaluate import evaluate
from dlexp.errors import ConfigError
from dlexp.losses.info_nce import symmetric_info_nce
from dlexp.losses.no_loss import NoLoss
from dlexp.metrics.retrieval import PairPrediction, RetrievalState, same_pairs
from dlexp.models.convnet import simple_cnn
from dlexp.models.dual_encoder import MAX_SCALE, DualEncoder, clip
from dlexp.runtime.precision import Precision
from dlexp.sequence_specs import CaptionSpec
from dlexp.specs import DataSpec, ImageSpec
from dlexp.tasks.contrastive import ContrastiveLearning
from dlexp.text.vocabulary import learn_vocabulary
from dlexp.types import Batch

DRAWS = torch.Generator().manual_seed(0)
VOCABULARY = learn_vocabulary(["a red cat", "a blue dog"], "word")
SPEC = DataSpec(ImageSpec(1, 4, 4), CaptionSpec(VOCABULARY, 4, ("cat", "dog"), ("a red {}", "a blue {}")))


def unit(*shape: int) -> Tensor:
    return F.normalize(torch.randn(*shape, generator=DRAWS), dim=-1)


def small(**given: Any) -> DualEncoder:
    torch.manual_seed(0)
    sizes = {"token": 16, "blocks": 1, "heads": 2, "text_blocks": 1, "dropout": 0.0, **given}
    return clip(input_shape=(1, 4, 4), num_outputs=8, target_vocabulary_size=8, target_max_length=4, **sizes)


def prediction(images: Tensor, texts: Tensor, tokens: list[int], of_image: Tensor | None = None) -> PairPrediction:
    rows = torch.arange(len(images))
    ids, which = torch.tensor(tokens)[:, None], rows if of_image is None else of_image
    more: dict[str, Any] = {"images": which, "labels": rows * 0 - 1, "scale": 10.0}
    return PairPrediction(images, ids, torch.tensor(0.0), rows, texts=texts, tokens=ids, **more)


def test_the_loss_is_the_cross_entropy_of_both_directions() -> None:
    scores, rows = 5 * torch.randn(6, 6, generator=DRAWS), torch.arange(6)
    expected = (F.cross_entropy(scores, rows) + F.cross_entropy(scores.T, rows)) / 2
    same = torch.eye(6, dtype=torch.bool)
    torch.testing.assert_close(symmetric_info_nce(scores, same), expected)
    one_way = F.cross_entropy(scores, rows)
    assert not torch.isclose(expected, one_way)
    assert symmetric_info_nce(torch.zeros(6, 6), same).item() == pytest.approx(math.log(6))


def test_pairs_of_equal_texts_are_no_negatives() -> None:
    scores = torch.randn(4, 4, generator=DRAWS, requires_grad=True)
    same = same_pairs(torch.tensor([[3, 4], [3, 4], [3, 0], [5, 0]]), torch.tensor([0, 1, 2, 2]))
    assert same.int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    found = symmetric_info_nce(scores, same)
    found.backward()
    assert scores.grad is not None
    assert (scores.grad[same & ~torch.eye(4, dtype=torch.bool)] == 0).all() and (scores.grad[~same] != 0).all()
    certain = torch.where(same, 50.0, -50.0)
    assert symmetric_info_nce(certain, same).item() < 1e-6  # without the mask: log 2
    assert symmetric_info_nce(certain, torch.eye(4, dtype=torch.bool)).item() > 0.5


def test_recalls_are_those_of_a_count_by_hand() -> None:
    images, texts, tokens = unit(40, 6), unit(12, 6), [n % 12 for n in range(40)]
    state = RetrievalState(symmetric_info_nce)
    state.update(prediction(images, texts[torch.tensor(tokens)], tokens))
    found = state.compute()
    near = images @ texts.T
    of_image = [int((near[n] >= near[n, t]).sum()) for n, t in enumerate(tokens)]
    hits = [{t == tokens[n] for n in near[:, t].topk(5).indices.tolist()} for t in range(12)]
    assert found["text_recall_at_1"] == pytest.approx(sum(place <= 1 for place in of_image) / 40)
    assert found["text_recall_at_5"] == pytest.approx(sum(place <= 5 for place in of_image) / 40)
    assert found["image_recall_at_5"] == pytest.approx(sum(True in hit for hit in hits) / 12)
    assert 0 < found["text_recall_at_1"] < found["text_recall_at_5"] < 1


@pytest.mark.parametrize("value", [1.0, float("nan")])
def test_a_model_that_tells_nothing_apart_finds_nothing(value: float) -> None:
    state = RetrievalState(symmetric_info_nce)
    one = torch.full((9, 1), value)
    state.update(prediction(one, one, list(range(9))))
    found = state.compute()
    assert {found[f"{side}_recall_at_{k}"] for side in ("text", "image") for k in (1, 5)} == {0.0}


def test_several_texts_of_an_image_are_all_right() -> None:
    texts = unit(4, 8)
    images = texts[[0, 0, 2, 2]]
    state = RetrievalState(symmetric_info_nce)
    state.update(prediction(images, texts, [3, 4, 5, 6], torch.tensor([7, 7, 9, 9])))
    found = state.compute()
    assert found["text_recall_at_1"] == 1.0
    own = (texts @ images[[0, 2]].T).argmax(1) == torch.tensor([0, 0, 1, 1])
    assert found["image_recall_at_1"] == own.double().mean().item()


def evaluated(network: DualEncoder, task: ContrastiveLearning, bundle: DataBundle, size: int) -> dict[str, float]:
    batches = EvalBatches(bundle, "val", size, torch.device("cpu"))
    precision = Precision("fp32", "cpu", "")
    return evaluate(
        task, torch.nn.ModuleDict({"model": network}), batches, precision, task.report_state(), seed=0
    ).metrics


def test_no_figure_depends_on_the_batch_of_an_evaluation() -> None:
    bundle = digit_captions()
    arguments = {**bundle.spec.model_arguments(), "num_outputs": 16, "token": 16, "blocks": 1, "heads": 2}
    network = clip(**{k: v for k, v in arguments.items() if k not in ("in_channels", "in_features")}).eval()
    task = ContrastiveLearning(spec=bundle.spec, loss=NoLoss(), embedding_size=16)
    whole, apart = (evaluated(network, task, bundle, size) for size in (179, 7))
    assert whole == pytest.approx(apart, abs=1e-6)
    assert {"loss", "text_recall_at_1", "zero_shot_accuracy"} <= whole.keys()
    other = replace(bundle, splits={**bundle.splits, "val": bundle.splits["val"].select(torch.arange(178, -1, -1))})
    assert evaluated(network, task, other, 64) == pytest.approx(whole, abs=1e-6)


def test_padding_behind_a_text_changes_nothing() -> None:
    network = small().eval()
    ids, lengths = torch.tensor([[3, 4, 0, 0], [5, 6, 7, 3]]), torch.tensor([2, 4])
    found = network.encode_texts(ids, lengths)
    alone = network.encode_texts(ids[:1, :2], lengths[:1])
    torch.testing.assert_close(found[:1], alone, atol=1e-6, rtol=0)
    dirty = ids.clone()
    dirty[0, 2:] = 7
    torch.testing.assert_close(network.encode_texts(dirty, lengths), found, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2))


def test_the_temperature_is_learned_and_stays_at_a_hundredth_or_above() -> None:
    network = small(temperature=0.5)
    assert network.scale().item() == pytest.approx(2.0)
    network.scale().backward()
    assert network.log_scale.grad is not None and network.log_scale.grad.item() == pytest.approx(2.0)
    with torch.no_grad():
        network.log_scale.fill_(9.0)
    assert network.scale().item() == pytest.approx(MAX_SCALE)
    assert network.log_scale.item() == pytest.approx(math.log(MAX_SCALE))  # so that it can come back at once
    with pytest.raises(ValueError, match=r"0\.01"):
        small(temperature=0.001)
    with pytest.raises(ValueError, match="simple_cnn, resnet18, vit"):
        small(image_encoder="vgg")


@pytest.mark.parametrize("encoder", ["vit", "simple_cnn"])
def test_both_encoders_and_the_temperature_get_a_gradient(encoder: str) -> None:
    network, task = small(image_encoder=encoder), ContrastiveLearning(spec=SPEC, loss=NoLoss(), embedding_size=8)
    targets = {"values": torch.tensor([[3, 4, 0, 0], [5, 6, 0, 0], [5, 7, 3, 0]]), "lengths": torch.tensor([2, 2, 3]),
               "image": torch.arange(3), "label": torch.tensor([0, 1, -1])}  # fmt: skip
    batch = Batch(torch.randn(3, 1, 4, 4, generator=DRAWS), targets, torch.arange(3))
    found = task.loss("train", {"model": network}, batch)
    found.value.backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert network.log_scale.grad is not None and network.log_scale.grad != 0
    assert found.parts["scale"].item() == pytest.approx(1 / 0.07)


@torch.no_grad()
def test_a_class_is_known_by_the_mean_of_its_prompts() -> None:
    network, task = small().eval(), ContrastiveLearning(spec=SPEC, loss=NoLoss(), embedding_size=8)
    blank = {name: value.expand(2, *value.shape[1:]) for name, value in SPEC.targets.blank().items()}  # type: ignore[union-attr]
    batch = Batch(torch.randn(2, 1, 4, 4, generator=DRAWS), blank, torch.arange(2))
    found = task.predict({"model": network}, batch)
    texts = SPEC.targets.encoded(["a red dog", "a blue dog"])  # type: ignore[union-attr]
    direction = F.normalize(network.encode_texts(texts.values, texts.lengths).mean(0), dim=0)
    assert found.logits is not None
    torch.testing.assert_close(found.logits[:, 1], network.scale() * network(batch.inputs) @ direction)
    columns = task.prediction_columns(SPEC, found)
    assert set(columns.columns["predicted"]) <= {"cat", "dog"}
    task.ask(["a red cat", "a blue dog", "blue"])
    columns = task.prediction_columns(SPEC, task.predict({"model": network}, batch))
    assert [*columns.columns][2:] == ["cosine(a red cat)", "cosine(a blue dog)", "cosine(blue)"]
    with pytest.raises(ConfigError, match="elephant"):
        task.ask(["elephant"])


def test_other_models_and_data_are_refused() -> None:
    task = ContrastiveLearning(spec=SPEC, loss=NoLoss(), embedding_size=8)
    network = simple_cnn(input_shape=(1, 8, 8), num_outputs=8, channels=[4], fc=8)
    with pytest.raises(ConfigError, match="model=clip"):
        task.predict({"model": network}, None)  # type: ignore[arg-type]
    unnamed = DataSpec(SPEC.inputs, CaptionSpec(VOCABULARY, 4))
    with pytest.raises(ConfigError, match=r"data\.label"):
        ContrastiveLearning(spec=unnamed, loss=NoLoss(), embedding_size=8).metric_state(["zero_shot_accuracy"])
