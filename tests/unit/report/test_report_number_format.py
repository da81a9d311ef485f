"""Shares in percent: none but 0 and 1 reads as 0 or 100 %."""

from __future__ import annotations

import pytest

from dlexp.report.number_format import number, percent


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0.00 %"),
        (1.0, "100.00 %"),
        (0.1 + 0.2 + 0.7, "100.00 %"),  # rounding of a sum
        (1 - 1e-12, "100.00 %"),
        (0.98324, "98.32 %"),
        (0.0001, "0.01 %"),
        (0.00004, "0.004 %"),
        (3.2e-7, "3.2e-05 %"),
        (0.99996, "99.9960 %"),
        (-0.00004, "-0.004 %"),
    ],
)
def test_a_share(share: float, text: str) -> None:
    assert number("val/mape", share) == text


@pytest.mark.parametrize("name", ["exact_match", "val/cer", "test/wer", "val/accuracy", "entity_f1", "token_accuracy"])
def test_shares_of_sequences_are_in_percent(name: str) -> None:
    assert number(name, 0.5) == "50.00 %"


@pytest.mark.parametrize("name", ["near_copies", "test/cas", "class_agreement", "coverage", "good_samples"])
def test_shares_of_samples_are_in_percent(name: str) -> None:
    assert number(name, 0.5) == "50.00 %"


@pytest.mark.parametrize(
    "name",
    ["forecast_length", "class_distance", "frechet", "val/power", "answer_length", "bleu", "perplexity", "val/mase"],
)
def test_other_metrics_are_plain(name: str) -> None:
    assert number(name, 0.5) == "0.5"


def test_digits() -> None:
    assert (percent(0.5, 1), percent(0.0004, 1)) == ("50.0", "0.04")


@pytest.mark.parametrize("name", ["val/exact_match", "cer", "test/wer", "token_accuracy"])
def test_rates_of_sequences_are_shares(name: str) -> None:
    assert number(name, 0.298) == "29.80 %"


@pytest.mark.parametrize("name", ["power", "certainty", "lower", "bleu"])
def test_other_names_are_numbers(name: str) -> None:
    assert number(name, 0.298) == "0.298"
