"""Planted wrong labels are found, clean data have none, and labels in other rows are noticed."""

from __future__ import annotations

import numpy as np
import pytest
from case_toys import case_of_data, data_of, with_labels, with_wrong_labels

from dlexp.data.columns import tensor_of
from dlexp.diagnosis.data.held_out import folds
from dlexp.diagnosis.data.label_measures import LabelMeasures, label_measures
from dlexp.diagnosis.data.labels import Contradictions
from dlexp.diagnosis.rules.labels import judge_labels


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
    assert verdict.remedy == ("loss.label_smoothing=0.2",)


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
