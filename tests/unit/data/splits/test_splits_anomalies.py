"""Classes that count as anomalies: by name or number, in no row of training and validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dlexp.data.images.several_folders import list_folders
from dlexp.data.splits.anomalies import anomaly_numbers, normal_rows
from dlexp.data.splitting import rows_of_parts, split_rows
from dlexp.errors import ConfigError, DataError

LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2])
ROWS = (np.array([0, 1, 2]), np.array([3, 4, 5]), np.array([6, 7, 8]))


def test_a_class_is_named_before_it_is_counted() -> None:
    assert anomaly_numbers(["fraud", "0"], ("ok", "fraud", "late")) == (0, 1)
    assert anomaly_numbers(["7"], ("7", "8")) == (0,)  # the class of that name, and no class has number 7


@pytest.mark.parametrize(
    ("given", "code", "remedy"),
    [
        (["frod"], "unknown-value", "Set 'data.anomalies=[fraud]'"),
        (["9"], "unknown-value", "Set 'data.anomalies=[late]'"),
        (["ok", "fraud", "late"], "invalid-value", "Set 'data.anomalies=[late]'"),
    ],
)
def test_unknown_classes_and_all_of_them_are_refused(given: list[str], code: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as found:
        anomaly_numbers(given, ("ok", "fraud", "late"))
    (problem,) = found.value.problems
    assert (problem.where, problem.code, problem.remedy) == ("data.anomalies", code, remedy)


def test_the_test_split_alone_keeps_its_anomalies() -> None:
    train, val, test = normal_rows(ROWS, LABELS, "abc", ["b"])
    assert (train.tolist(), val.tolist(), test.tolist()) == ([0, 2], [3, 5], [6, 7, 8])
    assert normal_rows(ROWS, LABELS, "abc", []) is ROWS
    assert normal_rows(ROWS, None, (), ["b"]) is ROWS  # `without_anomalies` refuses data without classes


def test_a_class_of_anomalies_may_be_in_the_test_folder_alone(tmp_path: Path) -> None:
    for name in ("train/good", "test/good", "test/scratch"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "1.png").touch()
    assert list_folders([str(tmp_path), None, None], untrained=["scratch"]).classes == ("good", "scratch")
    with pytest.raises(DataError, match="'scratch' has no training"):
        list_folders([str(tmp_path), None, None])


def test_rare_anomalies_go_to_test_and_other_rare_classes_are_refused() -> None:
    labels = np.array([0] * 20 + [1])
    train, val, test = split_rows(21, (0.2, 0.2, 0), labels, "ab", exempt=[1])
    assert 20 in test and not {20} & {*train, *val}
    absent = rows_of_parts({"train": 20, "test": 1}, (0.2, 0.2, 0), labels, "ab", [1])
    assert len(absent[0]) + len(absent[1]) == 20
    with pytest.raises(DataError):
        split_rows(21, (0.2, 0.2, 0), labels, "ab")
    with pytest.raises(DataError):
        rows_of_parts({"train": 20, "test": 1}, (0.2, 0.2, 0), labels, "ab")


def test_a_split_of_anomalies_alone_is_refused() -> None:
    with pytest.raises(DataError, match="val has no sample") as found:
        normal_rows((ROWS[0], np.array([4]), ROWS[2]), LABELS, "abc", ["b"])
    assert found.value.code == "too-few-samples"
