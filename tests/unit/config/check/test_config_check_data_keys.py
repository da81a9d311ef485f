"""Keys that divide or balance samples in two ways, or samples that have no classes."""

from __future__ import annotations

import pytest

from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError

CATALOG = Catalog()
TABLE = "data=csv data.path=a.csv data.target=y data.target_kind=class"


@pytest.mark.parametrize(
    ("words", "code", "where", "remedy"),
    [
        (f"{TABLE} data.group=p data.time=t", "cannot-combine", "data.group", ""),
        (f"{TABLE} data.split_column=s data.val_path=b.csv", "cannot-combine", "data.split_column", ""),
        (f"{TABLE} data.test_path=./a.csv", "cannot-combine", "data.test_path", ""),
        ("data=diabetes data.balance=weights", "incompatible-data", "data.balance", "data.balance=none"),
        ("data=digits data.balance=weight", "unknown-value", "data.balance", ""),
        ("data=digits loss.class_weights=balanced", "invalid-type", "loss.class_weights", "data.balance=weights"),
        (
            "data=digits task=metric_learning loss=triplet data.balance=weights",
            "not-supported",
            "data.balance",
            "data.balance=sampling",
        ),
        ("data=digits data.balance=weights loss.class_weights=[1,2]", "cannot-combine", "data.balance", "=none"),
        ("data=breast_cancer loss=bce loss.pos_weight=2 data.balance=sampling", "cannot-combine", "data.balance", ""),
        ("data=digits data.group=p", "unknown-key", "data.group", ""),
        ("data=mnist data.time=t", "unknown-key", "data.time", ""),
    ],
)
def test_what_cannot_be_is_refused(words: str, code: str, where: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(words.split(), CATALOG)
    (problem,) = caught.value.problems
    assert (problem.code, problem.where) == (code, where)
    assert remedy in problem.remedy


def test_what_can_be_combined_is() -> None:
    load(f"{TABLE} data.split_column=s data.group=p data.balance=sampling".split(), CATALOG)
    load(f"{TABLE} data.val_path=b.csv data.group=p data.balance=weights".split(), CATALOG)
    assert (
        load(["data=digits", "task=metric_learning", "loss=triplet", "data.balance=sampling"], CATALOG).balance
        == "sampling"
    )
