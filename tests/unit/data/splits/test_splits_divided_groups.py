"""Columns that look like groups are found by the agreement of their targets, not by their name alone."""

from __future__ import annotations

import numpy as np

from dlexp.data.splits.divided_groups import divided_groups

ROWS = [np.arange(0, 300), np.arange(300, 400), np.arange(400, 500)]
CODES = np.random.default_rng(0).integers(0, 60, 500)
NOISE = np.random.default_rng(1).integers(0, 2, 500)


def test_patients_with_one_diagnosis_each_are_found() -> None:
    found = divided_groups("whatever", CODES, (CODES % 3 == 0).astype(np.int64), ROWS)
    assert found is not None
    assert (found.values, found.rows, round(found.agreement, 6)) == (60, 500, 1.0)
    assert found.divided > 40
    values = (CODES % 7)[:, None] + np.random.default_rng(2).normal(0, 0.3, (500, 1))
    assert divided_groups("whatever", CODES, values, ROWS) is not None


def test_chance_is_no_group() -> None:
    assert divided_groups("patient", CODES, NOISE, ROWS) is None
    assert divided_groups("patient", CODES, NOISE[:, None].astype(np.float64), ROWS) is None


def test_a_name_lowers_the_bar() -> None:
    some = np.where(NOISE == 1, CODES % 2, np.random.default_rng(3).integers(0, 2, 500))
    assert divided_groups("color", CODES, some, ROWS) is None
    assert divided_groups("patient_id", CODES, some, ROWS) is not None


def test_few_values_are_categories_and_single_rows_are_no_groups() -> None:
    few = CODES % 10
    assert divided_groups("patient", few, (few % 2).astype(np.int64), ROWS) is None
    assert divided_groups("patient", np.arange(500), NOISE, ROWS) is None


def test_groups_that_are_whole_are_not_reported() -> None:
    codes = np.arange(500) // 10
    assert divided_groups("patient", codes, (codes % 2).astype(np.int64), ROWS) is None
