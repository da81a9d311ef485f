"""Planted wrong labels are found, clean data have none, and labels in other rows are noticed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from doctor_toys.case_toys import case_of_data, data_of, with_labels, with_wrong_labels
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle
from dlexp.data.columns import tensor_of
from dlexp.diagnosis.data.held_out import folds
from dlexp.diagnosis.data.label_measures import LabelMeasures, label_measures
from dlexp.diagnosis.data.labels import Contradictions
from dlexp.diagnosis.data.suspects import without_suspected_labels
from dlexp.diagnosis.rules.samples.labels import judge_labels, wrong_labels
from dlexp.errors import ConfigError


def measured(found: LabelMeasures | None) -> Contradictions:
    assert found is not None and found.contradictions is not None
    return found.contradictions


def test_wrong_labels_of_digits_are_found_with_precision_and_recall() -> None:
    bundle = data_of("data=digits")
    for seed in range(5):
        sick, wrong = with_wrong_labels(bundle, 0.05, seed)
        found = measured(label_measures(sick, 0))
        hits = [one.index in wrong for one in found.suspects]
        assert np.mean(hits[: len(wrong)]) >= 0.9  # precision at k
        assert np.mean(hits) >= 0.9
        assert sum(hits) >= 0.9 * len(wrong)
        true = len(wrong) / found.samples
        assert abs(found.rate - true) < 0.01
        assert found.low <= true <= found.high
    (verdict,) = judge_labels(case_of_data("data=digits", bundle=sick))
    assert (verdict.code, verdict.severity) == ("label_noise", "warning")
    assert verdict.evidence[0].value > 0.03
    assert verdict.remedy == ("data.suspected_labels=drop",)


def test_a_suspect_says_what_it_was_given_and_what_it_is_rather() -> None:
    bundle = data_of("data=digits")
    train = bundle.splits["train"]
    true = dict(zip(train.indices.tolist(), tensor_of(train.targets).tolist(), strict=True))
    sick, wrong = with_wrong_labels(bundle, 0.05, 0)
    found = measured(label_measures(sick, 0))
    in_train = [one for one in found.suspects if one.split == "train" and one.index in wrong]
    assert len(in_train) > 40
    assert np.mean([one.likelier == true[one.index] for one in in_train]) > 0.95
    assert all(one.given != one.likelier and 0.3 <= one.confidence <= 1 for one in found.suspects)
    confidences = [one.confidence for one in found.suspects]
    assert confidences == sorted(confidences, reverse=True)


@pytest.mark.parametrize("data", ["digits", "iris", "wine", "breast_cancer"])
def test_clean_labels_have_less_than_a_percent_of_wrong_ones(data: str) -> None:
    bundle = data_of(f"data={data}")
    for seed in range(3):
        found = measured(label_measures(bundle, seed))
        assert found.low < 0.005 and found.contradicting <= 3  # 3 of iris are those that all models take for another
        assert data != "digits" or found.rate < 0.001
    assert list(judge_labels(case_of_data(f"data={data}", bundle=bundle))) == []


@pytest.mark.parametrize("data", ["iris", "wine", "breast_cancer"])
def test_wrong_labels_of_small_tables_are_found(data: str) -> None:
    bundle = data_of(f"data={data}")
    for seed in range(3):
        sick, wrong = with_wrong_labels(bundle, 0.1, seed)
        found = measured(label_measures(sick, 0))
        hits = [one.index in wrong for one in found.suspects]
        assert np.mean(hits) >= 0.75
        assert sum(hits) >= 0.65 * len(wrong)
        assert found.low <= len(wrong) / found.samples <= found.high
        assert [one.code for one in judge_labels(case_of_data(f"data={data}", bundle=sick))] == ["label_noise"]


@pytest.mark.slow
def test_wrong_labels_of_drawn_images_and_of_texts_are_measured_where_a_model_is_sure() -> None:
    for words in (("data=synthetic_images", "data.num_samples=3000"), ("data=docstrings",)):
        bundle = data_of(*words)
        assert list(judge_labels(case_of_data(*words, bundle=bundle))) == []
        sick, wrong = with_wrong_labels(bundle, 0.1, 0)
        found = measured(label_measures(sick, 0))
        assert found.low <= len(wrong) / found.samples <= found.high
        assert np.mean([one.index in wrong for one in found.suspects]) > 0.5


def test_a_model_that_only_knows_how_frequent_classes_are_is_sure_of_nothing() -> None:
    rng = np.random.default_rng(0)
    bundle = with_labels(data_of("data=breast_cancer"), lambda labels: (rng.random(len(labels)) < 0.1).astype(np.int64))
    found = measured(label_measures(bundle, 0))
    assert found.accuracy > 0.85  # it says 0 of all
    assert found.sure < 0.1 * found.samples
    assert [one.code for one in judge_labels(case_of_data("data=breast_cancer", bundle=bundle))] == ["labels_shuffled"]


def test_shuffled_labels_are_noticed_and_learnable_ones_are_not() -> None:
    for data in ("digits", "diabetes"):
        rng = np.random.default_rng(1)
        sick = with_labels(data_of(f"data={data}"), rng.permutation)
        (verdict,) = judge_labels(case_of_data(f"data={data}", bundle=sick))
        assert (verdict.code, verdict.severity) == ("labels_shuffled", "warning")
        assert {one.measure.split(",")[0] for one in verdict.evidence if one.limit is not None} == {
            "agreement of labels of near samples beyond chance",
            "variance of the targets that a model explains in new samples",
        }


@pytest.mark.parametrize(("data", "by"), [("digits", 1), ("digits", -1), ("synthetic_regression", 1)])
def test_labels_moved_by_a_row_are_told_from_shuffled_ones(data: str, by: int) -> None:
    sick = with_labels(data_of(f"data={data}"), lambda labels: np.roll(labels, by, axis=0))
    (verdict,) = judge_labels(case_of_data(f"data={data}", bundle=sick))
    assert (verdict.code, verdict.severity) == ("labels_shuffled", "error")
    assert ("row after it" if by > 0 else "row before it") in verdict.action.replace(
        "the row after it in", "row after it"
    )


def test_folds_have_all_classes_and_keep_groups_together() -> None:
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    fold = folds(labels, 100, 5, 3)
    assert [np.bincount(labels[fold == number]).tolist() for number in range(5)] == [[10, 6, 4]] * 5
    assert (folds(labels, 100, 5, 3) == fold).all() and (folds(labels, 100, 5, 4) != fold).any()
    groups = np.random.default_rng(0).integers(0, 20, 100)
    grouped = folds(labels, 100, 5, 3, groups)
    assert all(len(np.unique(grouped[groups == group])) == 1 for group in np.unique(groups))
    assert sorted(np.unique(grouped).tolist()) == [0, 1, 2, 3, 4]


def test_the_measures_are_a_function_of_the_seed() -> None:
    bundle = data_of("data=wine")
    assert label_measures(bundle, 5) == label_measures(bundle, 5)


def test_dropped_suspects_are_training_samples_with_wrong_labels() -> None:
    sick, wrong = with_wrong_labels(data_of("data=digits"), 0.05, 0)
    mended = without_suspected_labels(sick, 0)
    before, after = (set(one.splits["train"].indices.tolist()) for one in (sick, mended))
    assert after < before
    assert len((before - after) & wrong) >= 0.9 * len(before - after)
    assert len(after & wrong) <= 0.1 * len(before & wrong)
    assert mended.splits["val"] is sick.splits["val"] and mended.splits["test"] is sick.splits["test"]
    assert mended.notes[-1].startswith(f"data.suspected_labels=drop: {len(before - after)} samples of 1,259 training")
    noise = [one.code for one in judge_labels(case_of_data("data=digits", "data.suspected_labels=drop", bundle=mended))]
    assert noise == []


def test_nothing_is_dropped_of_clean_data_and_of_data_that_cannot_be_compared() -> None:
    bundle = data_of("data=wine")
    assert without_suspected_labels(bundle, 0).sizes() == bundle.sizes()
    captions = data_of("data=digit_captions")
    same = without_suspected_labels(captions, 0)
    assert same.sizes() == captions.sizes() and "nothing is left out" in same.notes[-1]


def in_source_order(bundle: DataBundle, field: str) -> NDArray[Any]:
    """Inputs or targets of all splits, by sample number."""
    splits = [bundle.splits[name] for name in ("train", "val", "test")]
    order = np.concatenate([split.indices.numpy() for split in splits]).argsort()
    return np.asarray(np.concatenate([tensor_of(getattr(split, field)).numpy() for split in splits])[order])


def test_the_key_drops_suspects_whenever_the_data_is_read(tmp_path: Path) -> None:
    clean = data_of("data=digits")
    sick, _ = with_wrong_labels(clean, 0.1, 1)
    labels = in_source_order(sick, "targets")
    wrong = set(np.flatnonzero(labels != in_source_order(clean, "targets")).tolist())
    images = in_source_order(clean, "inputs").reshape(-1, 8, 8).astype(np.uint8)
    np.savez(tmp_path / "sick.npz", images=images, labels=labels)
    words = ("data=arrays", f"data.path={tmp_path / 'sick.npz'}", "data.inputs=images", "data.target=labels")
    kept, dropped = data_of(*words), data_of(*words, "data.suspected_labels=drop")
    gone = set(kept.splits["train"].indices.tolist()) - set(dropped.splits["train"].indices.tolist())
    assert len(gone & wrong) >= 0.9 * len(gone) > 90
    assert dropped.split_hash == data_of(*words, "data.suspected_labels=drop", "seed=9").split_hash
    assert dropped.split_hash != kept.split_hash
    (note,) = [one for one in dropped.notes if "suspected_labels" in one]
    assert str(len(gone)) in note


def test_dropping_suspects_needs_classes() -> None:
    with pytest.raises(ConfigError) as caught:
        data_of("data=diabetes", "data.suspected_labels=drop")
    (problem,) = caught.value.problems
    assert (problem.where, problem.code) == ("data.suspected_labels", "incompatible-data")


def test_samples_of_a_group_do_not_vouch_for_each_other(tmp_path: Path) -> None:
    """Of each person there are ten equal rows; in some of the groups the label of all ten is wrong."""
    rng = np.random.default_rng(0)
    people = rng.normal(size=(60, 4))
    sick = people[:, 0] > 0
    wrong = rng.random(60) < 0.15
    frame = pd.DataFrame(np.repeat(people, 10, axis=0) + 0.01 * rng.normal(size=(600, 4)), columns=list("abcd"))
    frame["person"] = np.repeat([f"p{number}" for number in range(60)], 10)
    frame["sick"] = np.repeat(np.where(sick ^ wrong, "yes", "no"), 10)
    frame.to_csv(tmp_path / "people.csv", index=False)
    words = ("data=csv", f"data.path={tmp_path / 'people.csv'}", "data.target=sick")
    alone = measured(label_measures(data_of(*words, "data.columns={person: drop}"), 0))
    grouped = data_of(*words, "data.group=person")
    assert grouped.groups is not None and len(np.unique(grouped.groups)) == 60
    together = measured(label_measures(grouped, 0))
    assert len(alone.suspects) < 5  # a copy of each has the same wrong label
    hits = [wrong[one.index // 10] for one in together.suspects]
    assert len(hits) > 20 and np.mean(hits) > 0.6


@pytest.mark.parametrize(
    ("sure", "low", "confirmed", "is_told"),
    [
        (900, 0.012, 0.6, True),
        (900, 0.009, 1.0, False),
        (600, 0.030, 0.88, False),  # clean classes that overlap
        (600, 0.030, 0.95, True),
        (600, 0.024, 0.95, False),
        (600, 0.046, 0.6, True),
        (150, 0.090, 1.0, False),
        (150, 0.110, 1.0, True),
    ],
)
def test_labels_must_contradict_more_often_where_classes_overlap(
    sure: int, low: float, confirmed: float, is_told: bool
) -> None:
    seen = Contradictions(1000, sure, 50, low + 0.02, low, low + 0.04, confirmed, 2, 0.9, ())
    found = replace(label_measures_of_wine(), contradictions=seen)
    assert [one.code for one in wrong_labels(found, case_of_data("data=wine").facts)] == ["label_noise"] * is_told


@cache
def label_measures_of_wine() -> LabelMeasures:
    found = label_measures(data_of("data=wine"), 0)
    assert found is not None
    return found
