"""Names of metrics for trackers: letters, digits and `_ - . /`, and no two alike."""

from __future__ import annotations

from dlexp.loggers.relay import TrackerNames


def test_usual_names_stay_and_brackets_go() -> None:
    names = ("lr/critic", "samples_per_s", "val/top_3_accuracy", "step/train/loss", "val/ends_")
    assert list(TrackerNames().of(dict.fromkeys(names, 0.0))) == list(names)
    given = {"val/recall[yes]": 1.0, "val/f1[not spam]": 2.0, "val/recall[größe 3.5]": 3.0}
    assert TrackerNames().of(given) == {"val/recall_yes": 1.0, "val/f1_not_spam": 2.0, "val/recall_größe_3.5": 3.0}


def test_two_names_never_become_one_and_each_keeps_its_own() -> None:
    names = TrackerNames()
    first = names.of({"val/recall[a b]": 1.0, "val/recall[a_b]": 2.0, "val/recall_a_b": 3.0})
    assert first == {"val/recall_a_b": 1.0, "val/recall_a_b_2": 2.0, "val/recall_a_b_3": 3.0}
    assert names.of({"val/recall[a_b]": 4.0}) == {"val/recall_a_b_2": 4.0}
