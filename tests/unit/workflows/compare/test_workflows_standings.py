"""The comparison at the end of a sweep, over planted results: table, interval, figure and the answer in sentences."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_toys import write_predictions, write_run
from scipy import stats

from dlexp.workflows.compare.standings.files import figure_of, write_comparison
from dlexp.workflows.compare.standings.sentences import answer, noun
from dlexp.workflows.compare.standings.standings import Standings, standings_of


def right(share: float, seed: int, count: int = 400) -> list[bool]:
    return [bool(hit) for hit in np.random.default_rng(seed).random(count) < share]


def sweep(
    folder: Path,
    planted: Mapping[str, Sequence[float | None]],
    *,
    key: str = "optim",
    evaluated: bool = True,
    same: bool = False,
) -> Path:
    """A sweep over `key`: the test accuracy of each seed, or its validation loss; None for a failed job."""
    jobs: list[dict[str, Any]] = []
    for label, values in planted.items():
        for seed, value in enumerate(values):
            number, run = len(jobs), f"{len(jobs):03d}-mlp-digits"
            job = {"number": number, "varied": {key: label, "seed": str(seed)}, "run": run, "state": "finished"}
            jobs.append(job | {"reason": "", "seconds": 2.0})
            if value is None:
                jobs[-1] |= {"state": "failed", "reason": "val/loss is NaN"}
                continue
            loss = 0.5 if evaluated else value
            made = write_run(folder / run, model=label if key == "model" else "mlp", seed=seed, loss=loss)
            meta = json.loads((made / "meta.json").read_text())
            meta["config"]["optim"]["_target_"] = label
            (made / "meta.json").write_text(json.dumps(meta))
            if evaluated:
                write_predictions(made, right(value, 7 if same else number))
    (folder / "sweep.json").write_text(json.dumps({"sweep": str(folder), "jobs": jobs}))
    return folder


def standings(folder: Path) -> Standings:
    found = standings_of(folder)
    assert found is not None
    return found


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "sweep").mkdir()
    return tmp_path / "sweep"


def test_the_best_is_named_with_what_it_cannot_be_told_apart_from(work: Path) -> None:
    found = standings(sweep(work, {"sgd": [0.6] * 4, "adam": [0.9] * 4, "adamw": [0.91] * 4}))
    assert (found.metric, found.maximize, found.about, found.samples) == (
        "test/accuracy",
        True,
        "seeds and samples",
        400,
    )
    text = answer(found)
    best, level = found.best, {"adam", "adamw"} - {found.best}
    assert best in ("adam", "adamw")
    assert text.startswith(f"Of 3 optimizers, {best} is best: test accuracy ")
    assert f"It cannot be told apart from {level.pop()}. " in text
    assert f"Worse than {best}: sgd by " in text
    worst = next(row for row in found.rows if row.label == "sgd")
    assert worst.behind is not None
    assert not worst.behind.is_level
    assert worst.behind.low is not None
    assert 0 < worst.behind.low < worst.behind.value


def test_the_interval_of_a_mean_is_students_and_that_of_a_difference_is_simultaneous(work: Path) -> None:
    found = standings(sweep(work, {"sgd": [0.6, 0.62, 0.58], "adam": [0.9, 0.8, 0.85], "lion": [0.7, 0.75, 0.72]}))
    for row in found.rows:
        low, high = stats.t.interval(0.95, 2, np.mean(row.values), stats.sem(row.values))
        assert (row.low, row.high) == pytest.approx((low, min(1.0, high)))
        assert row.spread is not None
        assert row.spread.mean == pytest.approx(np.mean(row.values))
        assert row.spread.n == 3
    assert any("3 intervals are simultaneous" in note for note in found.notes)


def test_equal_results_are_no_difference(work: Path) -> None:
    found = standings(sweep(work, {"sgd": [0.9] * 3, "adam": [0.9] * 3, "adamw": [0.9] * 3}))
    assert answer(found).startswith("No difference between the 3 optimizers is beyond chance: ")
    assert all(row.behind is None or row.behind.is_level for row in found.rows)


def test_the_same_values_are_called_the_same(work: Path) -> None:
    found = standings(sweep(work, {"sgd": [0.9] * 2, "adam": [0.9] * 2}, same=True))
    assert answer(found).startswith("All 2 optimizers give the same test accuracy ")
    assert found.rows[0].low is None  # seeds that agree say nothing of their spread


def test_one_seed_each_tells_nothing_of_the_optimizers(work: Path) -> None:
    planted = {"sgd": [0.5], "adam": [0.9]}
    found = standings(sweep(work, planted))
    assert found.about == "samples"
    assert answer(found).endswith(
        "With one seed each this holds for these networks, not for the optimizers: train several with --seeds 5."
    )
    assert found.rows[0].low is None


def test_without_predictions_the_monitored_loss_is_compared_over_the_seeds(work: Path) -> None:
    found = standings(sweep(work, {"sgd": [0.50, 0.51, 0.52], "adam": [0.10, 0.11, 0.12]}, evaluated=False))
    assert (found.metric, found.maximize, found.about, found.best) == ("val/loss", False, "seeds", "adam")
    assert "Of 2 optimizers, adam is best: val loss 0.11 " in answer(found)
    behind = found.rows[0].behind
    assert behind is not None
    assert behind.value == pytest.approx(0.4)
    assert any(f"dlexp evaluate {work}" in note for note in found.notes)


def test_one_seed_without_predictions_has_no_verdict(work: Path) -> None:
    found = standings(sweep(work, {"sgd": [0.5], "adam": [0.1]}, evaluated=False))
    assert answer(found) == (
        "Of 2 optimizers, adam has the best val loss, 0.1, but one seed each does not tell them apart: train several "
        "with --seeds 5."
    )


def test_a_failed_job_is_named_and_a_configuration_of_one_seed_is_not_compared(work: Path) -> None:
    planted: dict[str, list[float | None]] = {
        "sgd": [0.6, 0.6, 0.6],
        "adam": [0.9, 0.9, 0.9],
        "lion": [None, None, None],
        "lamb": [0.8, None, None],
    }
    found = standings(sweep(work, planted))
    text = answer(found)
    assert text.startswith("Of 3 optimizers, adam is best: ")
    assert "Not compared, with one seed: lamb. " in text
    assert "lion has no result: val/loss is NaN." in text
    assert "2 of 3 seeds of lamb failed: val/loss is NaN." in text
    assert [row.label for row in found.ranked] == ["adam", "lamb", "sgd", "lion"]


def test_nothing_is_compared_before_two_jobs_have_finished(work: Path) -> None:
    assert standings_of(sweep(work, {"sgd": [0.6], "adam": [None]})) is None


def test_a_long_list_of_equal_items_is_short_in_a_label(work: Path) -> None:
    found = standings(sweep(work, {"[64,64,64,64]": [0.6], "[64,32,64,64]": [0.7]}, key="model.hidden"))
    assert [row.label for row in found.rows] == ["4 x [64]", "[64,32,64,64]"]


def test_one_configuration_has_its_mean(work: Path) -> None:
    found = standings(sweep(work, {"sgd": [0.6, 0.7]}, evaluated=False))
    assert answer(found).startswith("One configuration was trained: val loss 0.65 (")
    assert found.keys == ()


def test_other_data_is_not_ranked(work: Path) -> None:
    sweep(work, {"iris": [0.6, 0.7], "wine": [0.9, 0.8]}, key="data")
    for place in (2, 3):
        file = work / f"{place:03d}-mlp-digits" / "meta.json"
        meta = json.loads(file.read_text()) | {"data_fingerprint": "g" * 64, "split_hash": "t" * 64}
        file.write_text(json.dumps(meta))
    found = standings(work)
    assert found.best == ""
    assert answer(found) == (
        "No configuration is best: the configurations have different data, whose values are not compared."
    )


def test_the_files_have_the_table_the_answer_and_the_figure(work: Path) -> None:
    content = write_comparison(sweep(work, {"a|b": [0.6, 0.65], "adam": [0.9, 0.95]}, key="model.activation"))
    assert content is not None
    saved = json.loads((work / "comparison.json").read_text())
    assert saved["answer"] == content["answer"]
    assert saved["of"] == "values of model.activation"
    text = (work / "comparison.md").read_text()
    assert text.startswith("# Comparison of 2 values of model.activation\n")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert lines[0].startswith("| value of model.activation | n | mean test/accuracy | std | 95 % interval | ")
    assert lines[2].startswith("| adam | 2 | ")
    assert lines[3].startswith(r"| a\|b | 2 | ")
    assert f"dlexp compare {work}" in text
    assert (work / "comparison.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.pictures
def test_the_figure_is_narrower_for_a_phone(work: Path) -> None:
    found = standings(sweep(work, {"sgd": [0.6, 0.7], "adam": [0.9, 0.95]}))
    wide, narrow = (int.from_bytes(figure_of(found, narrow=n)[16:20], "big") for n in (False, True))
    assert (wide, narrow) == (792, 462)


@pytest.mark.parametrize(
    ("keys", "count", "expected"),
    [
        (("optim",), 5, "optimizers"),
        (("optim",), 1, "optimizer"),
        (("loss",), 2, "losses"),
        (("scheduler",), 3, "learning-rate schedules"),
        (("cases",), 4, "cases"),
        (("optim.lr",), 4, "values of optim.lr"),
        (("optim", "model"), 4, "configurations"),
    ],
)
def test_configurations_are_called_what_they_are(keys: tuple[str, ...], count: int, expected: str) -> None:
    assert noun(keys, count) == expected
