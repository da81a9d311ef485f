"""Planted faults of data are found with their numbers and remedies, one by one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from doctor_toys.case_toys import case_of_data, data_of, with_inputs

from dlexp.data.bundle import DataBundle, Split
from dlexp.data.columns import Dense, tensor_of
from dlexp.diagnosis.case import Case, NetworkChange, NetworkMeasure, OutputMeasure, Start, Twin
from dlexp.diagnosis.data.batch_mix import mix_of
from dlexp.diagnosis.data.class_balance import class_balance, class_counts
from dlexp.diagnosis.data.input_scale import FeatureScale, measured_scale
from dlexp.diagnosis.rules.samples import scales, splits
from dlexp.diagnosis.rules.samples.labels import judge_labels
from dlexp.diagnosis.verdict import Verdict
from dlexp.specs import ValueSpec

RNG = np.random.default_rng(0)
HEALTHY = (
    *("digits", "iris", "wine", "breast_cancer", "diabetes", "synthetic_regression", "synthetic_series", "adding"),
    *("reverse", "copy", "sort", "addition", "dates", "spelled_numbers", "tones", "sunspots", "co2", "nile", "elnino"),
    *("eeg", "stocks", "goog", "entities", "topics", "digit_captions"),
    pytest.param("docstrings", marks=pytest.mark.slow),
)


def verdicts(case: Case) -> list[Verdict]:
    return [one for rule in (*scales.RULES, judge_labels, *splits.RULES) for one in rule(case)]


def only(case: Case) -> Verdict:
    (found,) = [one for one in verdicts(case) if one.severity != "note"]
    return found


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_data_get_no_warning(name: str) -> None:
    assert [one for one in verdicts(case_of_data(f"data={name}")) if one.severity != "note"] == []


def test_drawn_images_get_no_warning() -> None:
    assert verdicts(case_of_data("data=synthetic_images", "data.num_samples=2000")) == []


def test_no_split_of_a_small_table_is_far_from_training_by_chance() -> None:
    for data_name in ("iris", "wine", "diabetes"):
        for seed in range(5):
            case = case_of_data(f"data={data_name}", f"data.split_seed={seed}")
            assert list(splits.judge_shift(case)) == []


def test_every_warning_has_two_kinds_of_evidence_and_a_remedy_or_an_action() -> None:
    found = [only(case_of_data(f"data={name}", "data.standardize=false")) for name in ("wine", "diabetes")]
    found.append(only(case_of_data("data=digits", bundle=copied(data_of("data=digits"), 20))))
    for one in found:
        assert len([each for each in one.evidence if each.limit is not None]) >= 2
        assert one.remedy or one.action


def copied(bundle: DataBundle, count: int) -> DataBundle:
    """The first training samples in place of the first validation samples."""
    train, val = bundle.splits["train"], bundle.splits["val"]
    inputs, targets = tensor_of(val.inputs).clone(), tensor_of(val.targets).clone()
    inputs[:count], targets[:count] = tensor_of(train.inputs)[:count], tensor_of(train.targets)[:count]
    return replace(bundle, splits={**bundle.splits, "val": Split(Dense(inputs), Dense(targets), val.indices)})


@pytest.mark.parametrize(("name", "count", "severity"), [("digits", 10, "warning"), ("digits", 60, "error")])
def test_copies_of_training_images_are_counted(name: str, count: int, severity: str) -> None:
    bundle = data_of(f"data={name}")
    found = only(case_of_data(f"data={name}", bundle=copied(bundle, count)))
    assert (found.code, found.severity) == ("duplicates_across_splits", severity)
    assert found.evidence[0].value == pytest.approx(count / len(bundle.splits["val"]))
    assert {one.measure: one.value for one in found.evidence}["equal samples in val"] == count
    first = int(bundle.splits["train"].indices[0])
    assert f"row {first} = row {int(bundle.splits['val'].indices[0])}" in found.what


def test_nearly_equal_images_are_counted_too() -> None:
    def brighter(images: torch.Tensor) -> torch.Tensor:
        return (images.float() * 0.93).round().to(images.dtype)

    words = ("data=synthetic_images", "data.num_samples=600")
    found = only(case_of_data(*words, bundle=with_inputs(copied(data_of(*words), 20), "val", brighter)))
    assert found.code == "duplicates_across_splits"
    assert {one.measure: one.value for one in found.evidence}["nearly equal images in val"] >= 18


def test_equal_rows_with_different_targets_are_no_copies(tmp_path: Path) -> None:
    path = tmp_path / "few.csv"  # 24 different rows in 400, whose target is a matter of chance
    frame = pd.DataFrame({"a": RNG.integers(0, 4, 400), "b": RNG.integers(0, 6, 400), "y": RNG.normal(size=400)})
    frame.to_csv(path, index=False)
    found = verdicts(case_of_data("data=csv", f"data.path={path}", "data.target=y"))
    assert "duplicates_across_splits" not in {one.code for one in found}


def leaky(path: Path, noise: float) -> Path:
    """A table of which column `refund` is the target with some noise."""
    x = RNG.normal(size=(300, 4))
    y = (x[:, 0] + x[:, 1] + 0.8 * RNG.normal(size=300) > 0).astype(int)
    frame = pd.DataFrame(x, columns=["a", "b", "c", "d"])
    frame["refund"] = y * 10 + noise * RNG.normal(size=300)
    frame["left"] = np.where(y, "yes", "no")
    frame.to_csv(path, index=False)
    return path


def test_a_leaking_column_is_named_and_dropped(tmp_path: Path) -> None:
    words = (
        "data=csv",
        f"data.path={leaky(tmp_path / 'leak.csv', 0.5)}",
        "data.target=left",
        "data.columns={d: number}",
    )
    found = only(case_of_data(*words))
    assert (found.code, found.severity) == ("leaking_feature", "warning")
    assert found.remedy == ("data.columns={d:number,refund:drop}",)
    assert "refund" in found.what
    mended = case_of_data(*words[:3], *found.remedy)
    assert [one for one in verdicts(mended) if one.severity != "note"] == []


def test_a_column_that_is_good_but_not_perfect_leaks_nothing(tmp_path: Path) -> None:
    words = ("data=csv", f"data.path={leaky(tmp_path / 'good.csv', 5.0)}", "data.target=left")
    assert "leaking_feature" not in {one.code for one in verdicts(case_of_data(*words))}


def test_a_leak_of_values_is_found_in_a_table_without_declared_columns() -> None:
    bundle = data_of("data=diabetes")
    for name in ("train", "val", "test"):
        targets = tensor_of(bundle.splits[name].targets)
        scaled = ((targets[:, 0] - 150) / 77).float()

        def with_leak(rows: torch.Tensor, scaled: torch.Tensor = scaled) -> torch.Tensor:
            return torch.cat([rows[:, :3], (scaled**3)[:, None], rows[:, 4:]], dim=1)

        bundle = with_inputs(bundle, name, with_leak)
    found = only(case_of_data("data=diabetes", bundle=bundle))
    assert (found.code, found.remedy) == ("leaking_feature", ())
    assert found.action.startswith("Delete the column")


def test_validation_samples_of_another_kind_are_noticed_with_what_differs() -> None:
    bundle = with_inputs(data_of("data=wine"), "val", lambda rows: rows + 1.5 * (torch.arange(13) == 9))
    found = only(case_of_data("data=wine", bundle=bundle))
    assert (found.code, found.severity) == ("split_shift", "warning")
    assert "color_intensity" in found.what
    assert found.evidence[0].value > 0.6


def test_inverted_validation_images_are_a_shift() -> None:
    bundle = with_inputs(data_of("data=digits"), "val", lambda images: 16 - images)
    assert only(case_of_data("data=digits", bundle=bundle)).code == "split_shift"


def test_a_shift_that_the_split_was_made_for_is_a_note_and_a_given_split_can_be_drawn_anew() -> None:
    bundle = with_inputs(data_of("data=wine"), "val", lambda rows: rows + 1.5 * (torch.arange(13) == 9))
    (found,) = splits.judge_shift(case_of_data("data=wine", bundle=bundle, data__time="year"))
    assert (found.severity, found.remedy) == ("note", ())
    (found,) = splits.judge_shift(case_of_data("data=wine", bundle=bundle, data__split_column="part"))
    assert (found.severity, found.remedy) == ("warning", ("data.split_column=null",))


def test_inputs_of_other_scales_are_noticed_with_the_setting_that_mends_them() -> None:
    for name in ("wine", "breast_cancer", "diabetes", "iris"):
        found = only(case_of_data(f"data={name}", "data.standardize=false"))
        assert (found.code, found.remedy) == ("inputs_not_normalized", ("data.standardize=true",))
        assert verdicts(case_of_data(f"data={name}", *found.remedy)) == []


def test_images_with_a_wrong_mean_and_deviation_are_noticed() -> None:
    case = case_of_data("data=digits", bundle=scaled_images(data_of("data=digits"), 40.0, 5.0), data__mean=(0.5,))
    found = only(case)
    assert (found.code, found.remedy) == ("inputs_not_normalized", ("data.mean=null",))
    assert found.evidence[0].value > 40


def scaled_images(bundle: DataBundle, scale: float, shift: float) -> DataBundle:
    given = bundle.preprocess
    return replace(bundle, preprocess=replace(given, scale=given.scale * scale, shift=given.shift * scale + shift))  # type: ignore[type-var, attr-defined]


def test_a_trial_decides_where_scales_are_only_a_little_off() -> None:
    case = case_of_data("data=iris", "data.standardize=false")
    assert [one.code for one in scales.judge_inputs(replace(case, twin=twins(1.0, 0.5)))] == ["inputs_not_normalized"]
    assert list(scales.judge_inputs(replace(case, twin=twins(1.0, 0.99)))) == []
    large = case_of_data("data=wine", "data.standardize=false")  # a network with normalized layers may not mind
    assert [one.severity for one in scales.judge_inputs(replace(large, twin=twins(1.0, 0.5)))] == ["warning"]
    assert [one.severity for one in scales.judge_inputs(replace(large, twin=twins(1.0, 0.99)))] == ["note"]


class twins:  # noqa: N801
    """The training loss of the run itself, and of a twin with anything changed."""

    def __init__(self, own: float, changed: float) -> None:
        self.losses = own, changed

    def __call__(
        self, *words: str, start: Start = "initial", updates: int | None = None, change: NetworkChange | None = None
    ) -> Twin:
        from dlexp.diagnosis.case import ModeLosses, Trace

        outputs = outputs_of({"loss": self.losses[bool(words)]})
        losses = ModeLosses(0.0, 0.0, 0.0, 1)
        network = NetworkMeasure((), (), outputs, outputs, losses)
        return Twin(words, Trace((), (), 0, {}, {}, 1.0), network, network)


def outputs_of(metrics: dict[str, float], **more: object) -> OutputMeasure:
    return OutputMeasure(100, metrics, 0.0, 1.0, 0.0, 1.0, **more)  # type: ignore[arg-type]


def test_a_few_far_values_squeeze_a_column(tmp_path: Path) -> None:
    x = np.random.default_rng(3).normal(size=(500, 3))
    x[::20, 1] = -99999
    frame = pd.DataFrame(x, columns=["a", "b", "c"]).assign(y=np.where(x[:, 0] > 0, "p", "n"))
    frame.to_csv(tmp_path / "codes.csv", index=False)
    bundle_words = ("data=csv", f"data.path={tmp_path / 'codes.csv'}", "data.target=y")
    (found,) = scales.judge_inputs(case_of_data(*bundle_words))
    assert found.code == "inputs_not_normalized"
    assert found.what.startswith("b has ")
    assert "-99999" in found.what
    assert found.remedy == ('data.missing_values=[default,"-99999"]',)
    assert list(scales.judge_inputs(case_of_data(*bundle_words, *found.remedy))) == []


def test_targets_that_the_data_does_not_scale_are_noticed() -> None:
    bundle = data_of("data=diabetes")
    assert isinstance(bundle.spec.targets, ValueSpec)
    raw = replace(bundle, spec=replace(bundle.spec, targets=replace(bundle.spec.targets, mean=(0.0,), std=(1.0,))))
    found = only(case_of_data("data=diabetes", bundle=raw))
    assert found.code == "targets_not_standardized"
    assert [one.limit for one in found.evidence] == [2.0, 10.0]
    small = FeatureScale("y", 0.0, 0.001, 3.0)
    (found,) = scales.unscaled_targets(small, None)
    assert found.evidence[1].side == "below"
    assert list(scales.unscaled_targets(FeatureScale("y", 0.3, 1.2, 3.0), 1.0)) == []


def test_rare_classes_are_a_note_before_training_with_the_setting_that_balances_them() -> None:
    case = case_of_data("data=digits")
    balance = class_balance((500, 480, 20))
    assert balance.ratio == 25
    assert 2 < balance.effective < 3
    (found,) = scales.rare_classes(class_balance((900, 80, 20)), ("a", "b", "c"), case.facts)
    assert (found.severity, found.remedy) == ("note", ("data.balance=weights",))
    assert found.what == "Class a has 45.0 times the samples of class c."
    balanced = case_of_data("data=digits", "data.balance=sampling").facts
    for counts, facts in (((900, 80, 20), balanced), ((50, 49, 20), case.facts)):
        assert list(scales.rare_classes(class_balance(counts), ("a", "b", "c"), facts)) == []
    assert class_balance((5, 0, 5)).absent == (1,)
    assert list(scales.judge_classes(case)) == []


def test_batches_in_the_order_of_the_classes_are_told_from_random_ones() -> None:
    labels = np.repeat(np.arange(4), 200)
    facts = case_of_data("data=digits").facts
    (found,) = scales.unmixed_batches(mix_of(labels, labels, 32, 0), facts)
    assert (found.code, found.severity) == ("unshuffled_data", "warning")
    assert found.evidence[1].value > 0.8
    for seed in range(5):
        shuffled = np.random.default_rng(seed).permutation(labels)
        assert list(scales.unmixed_batches(mix_of(shuffled, labels, 32, seed), facts)) == []
        assert list(scales.unmixed_batches(mix_of(shuffled, labels, 1, seed), facts)) == []


def test_texts_whose_length_tells_the_class_are_not_mixed_in_buckets(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    lengths = np.repeat([3, 6, 9, 12], 150)
    texts = [" ".join(RNG.choice(["red", "green", "blue", "white"], length)) for length in lengths]
    pd.DataFrame({"text": texts, "y": [f"c{length}" for length in lengths]}).to_csv(path, index=False)
    words = ("data=text", f"data.path={path}", "data.target=y", "data.batch_size=8", "model=lstm")
    (found,) = scales.judge_batches(case_of_data(*words, "data.bucket=true"))
    assert found.remedy == ("data.bucket=false",)
    assert list(scales.judge_batches(case_of_data(*words, *found.remedy))) == []


def test_flags_and_constant_features_have_no_scale() -> None:
    rows = np.stack([RNG.normal(size=200), (RNG.random(200) < 0.01).astype(float), np.full(200, 900.0)], axis=1)
    found = measured_scale(rows, ["a", "flag", "constant"], 200)
    assert [one.name for one in found.features] == ["a"]
    assert list(scales.unscaled_inputs(found, ())) == []
    broken = rows.copy()
    broken[0, 0] = np.nan
    assert measured_scale(broken, ["a", "flag", "constant"], 200).not_finite == 1


@pytest.mark.parametrize(
    ("train", "val", "given", "words"),
    [
        ((50, 50, 40), (20, 20, 0), {"data.split_column": "part"}, ("data.split_column=null",)),
        ((50, 50, 40), (20, 20, 0), {}, ()),
    ],
)
def test_a_class_that_validation_lacks_is_told(
    train: tuple[int, ...], val: tuple[int, ...], given: dict[str, str], words: tuple[str, ...]
) -> None:
    facts = replace(case_of_data("data=iris").facts, settings=given)
    (found,) = splits.absent_classes(train, val, ("a", "b", "c"), facts)
    assert (found.code, found.severity, found.remedy) == ("split_shift", "warning", words)
    assert "Class c has no sample" in found.what and len(found.evidence) == 2 and (found.action != "") == (words == ())


@pytest.mark.parametrize(
    ("train", "val"), [((50, 50, 1), (20, 20, 0)), ((50, 50, 0), (20, 20, 0)), ((9, 9, 9), (3, 3, 0))]
)
def test_a_class_that_chance_leaves_out_is_not(train: tuple[int, ...], val: tuple[int, ...]) -> None:
    assert not list(splits.absent_classes(train, val, ("a", "b", "c"), case_of_data("data=iris").facts))


def test_classes_of_a_split_are_counted() -> None:
    bundle = data_of("data=iris")
    sizes = bundle.sizes()
    for name in ("train", "val"):
        assert sum(class_counts(bundle, name)) == sizes[name] and len(class_counts(bundle, name)) == 3
