"""Groups, refusals and verdicts of a comparison, over run directories that were written by hand."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from refusals import refused
from run_toys import CLASSES, write_predictions, write_run, write_values
from sklearn.metrics import balanced_accuracy_score, log_loss

from dlexp.cli.console import CleanConsole
from dlexp.cli.views.results.compare import print_comparison
from dlexp.errors import ConfigError
from dlexp.metrics.intervals.paired_difference import over_seeds_and_samples
from dlexp.workflows.compare.compare import CompareOptions, Comparison, compare
from dlexp.workflows.compare.files import save


def answers(share: float, seed: int, count: int = 300) -> list[bool]:
    return [bool(right) for right in np.random.default_rng(seed).random(count) < share]


def two_groups(root: Path, shares: tuple[float, float], seeds: int) -> list[Path]:
    found: list[Path] = []
    for model, share in zip(("mlp", "simple_cnn"), shares, strict=True):
        for seed in range(seeds):
            run = write_run(root / f"{model}-{seed}", model=model, seed=seed)
            write_predictions(run, answers(share, seed + 100 * len(found)))
            found.append(run)
    return found


def printed(found: Comparison, width: int) -> str:
    console, text = CleanConsole(), io.StringIO()
    console.file, console.width = text, width
    print_comparison(found, console)
    return text.getvalue()


def compared(runs: list[Path], **options: object) -> Comparison:
    return compare(runs, CompareOptions(**options))  # type: ignore[arg-type]


def test_runs_that_differ_in_the_seed_are_one_group_and_the_better_group_is_named(tmp_path: Path) -> None:
    found = compared(two_groups(tmp_path, (0.7, 0.95), 3))
    assert [(group.label, group.seeds) for group in found.groups] == [("mlp", (0, 1, 2)), ("simple_cnn", (0, 1, 2))]
    assert [setting.key for setting in found.settings] == ["model", "model.dropout"]
    (pair,) = found.pairs
    assert (pair.better, pair.difference.about, found.samples) == ("simple_cnn", "seeds and samples", 300)
    assert found.verdict.startswith("simple_cnn is better than mlp by ")
    assert "points of accuracy, 95 % interval" in found.verdict
    spread = found.groups[0].metrics["test/accuracy"]
    expected = [np.mean(answers(0.7, seed + 100 * seed)) for seed in range(3)]
    assert (spread.mean, spread.std, spread.n) == pytest.approx((np.mean(expected), np.std(expected, ddof=1), 3))
    assert found.groups[0].metrics["seconds_per_epoch"].mean == 2.0


def test_no_difference_is_said_to_be_none(tmp_path: Path) -> None:
    found = compared(two_groups(tmp_path, (0.9, 0.9), 3))
    assert "not distinguishable with 3 seeds" in found.verdict
    assert found.pairs[0].better is None


def test_a_seed_of_each_speaks_of_the_networks_and_has_mcnemars_test(tmp_path: Path) -> None:
    found = compared(two_groups(tmp_path, (0.7, 0.95), 1))
    (pair,) = found.pairs
    assert "simple_cnn's network is better than mlp's network" in found.verdict
    one, other = np.array(answers(0.7, 0)), np.array(answers(0.95, 100))
    assert pair.mcnemar is not None
    assert (pair.mcnemar.only_first, pair.mcnemar.only_second) == ((other & ~one).sum(), (one & ~other).sum())
    assert any("--seeds 5" in note for note in found.notes)


def test_one_configuration_is_never_better_than_itself(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / str(seed), seed=seed) for seed in range(2)]
    for run, share in zip(runs, (0.6, 0.95), strict=True):
        write_predictions(run, answers(share, 1))
    found = compared(runs)
    assert "not distinguishable: the 2 runs" in found.verdict
    assert "seed 1's network is better than seed 0's network by" in found.verdict
    assert [group.label for group in found.groups] == ["seed 0", "seed 1"]


@pytest.mark.parametrize("is_evaluated", [True, False])
def test_the_same_seed_twice_differs_in_nothing(is_evaluated: bool, tmp_path: Path) -> None:
    runs = [write_run(tmp_path / str(number), seed=3) for number in range(2)]
    for run in runs if is_evaluated else ():
        write_predictions(run, answers(0.9, 1))
    rows = (runs[1] / "metrics.csv").read_text()
    (runs[1] / "metrics.csv").write_text(rows.replace(",2.0\n", ",7.5\n"))  # another time is no difference
    found = compared(runs)
    assert ("predictions" in found.verdict) == is_evaluated
    assert (found.pairs, found.unpaired, found.samples) == ((), "", 0)
    shown = printed(found, 200)
    assert found.verdict in shown


def test_the_same_seed_that_came_out_otherwise_is_told_with_the_first_difference(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / str(number), seed=3) for number in range(3)]
    for run in runs:
        write_predictions(run, answers(0.9, 1))
    replace(runs[2], "\n3,cat,", "\n3,dog,")
    assert "1 of 300 samples of the test split" in compared(runs).verdict
    rows = (runs[1] / "metrics.csv").read_text()
    (runs[1] / "metrics.csv").write_text(rows.replace("2,2,0.1,0.5,", "2,2,0.1,0.25,"))
    expected = f"val/loss of epoch 2 is 0.5 in {runs[0]} and 0.25 in {runs[1]}"
    assert expected in compared(runs).verdict


def test_a_seed_that_is_there_twice_is_no_second_draw_of_one_configuration(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / str(number), seed=seed) for number, seed in enumerate((0, 1, 1))]
    for number, run in enumerate(runs):
        write_predictions(run, answers(0.9, number))
    found = compared(runs)
    assert "the 2 runs" in found.verdict
    assert len(found.pairs) == 1


def test_a_key_in_which_no_run_differs_groups_nothing(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / str(lr), lr=lr) for lr in (0.1, 0.2)]
    for run in runs:
        write_predictions(run, answers(0.9, 1))
    with pytest.raises(ConfigError) as error:
        compared(runs, by=("model",))
    refused(error.value, "no-effect", "--by", "--by")


def test_seeds_that_vary_in_nothing_are_no_verdict(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / f"{model}-{seed}", model=model, seed=seed, loss=loss)
        for model, loss in (("mlp", 0.5), ("cnn", 0.25), ("vit", 0.25))
        for seed in range(2)
    ]
    found = compared(runs, tables_only=True)
    by_names = {frozenset((pair.first, pair.second)): pair for pair in found.pairs}
    assert {pair.better for pair in found.pairs} == {None}
    assert math.isinf(by_names[frozenset(("mlp", "cnn"))].difference.low)
    assert "0.25 loss" in by_names[frozenset(("mlp", "cnn"))].verdict
    same = by_names[frozenset(("cnn", "vit"))]
    assert (same.difference.low, same.difference.high) == (0, 0)
    assert "interval" not in same.verdict


def test_what_does_not_decide_the_training_makes_no_group(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / str(seed), seed=seed) for seed in range(2)]
    meta = json.loads((runs[1] / "meta.json").read_text())
    meta["config"]["logger"]["every_steps"] = 1
    meta["config"]["name"] = "other"
    (runs[1] / "meta.json").write_text(json.dumps(meta))
    for run in runs:
        write_predictions(run, answers(0.9, 1))
    assert compared(runs).settings == ()


def test_a_seed_twice_counts_once(tmp_path: Path) -> None:
    runs = two_groups(tmp_path, (0.7, 0.95), 2)
    again = write_run(tmp_path / "again", model="mlp", seed=1)
    write_predictions(again, answers(0.7, 100))
    found = compared([*runs, again, runs[0]])
    assert [group.seeds for group in found.groups] == [(0, 1), (0, 1)]
    assert any(str(again) in note and str(runs[1]) in note for note in found.notes)


def test_groups_by_a_key_pool_the_rest(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / f"{lr}-{seed}", lr=lr, seed=seed) for lr in (0.1, 0.2) for seed in range(2)]
    runs += [write_run(tmp_path / "cnn", model="cnn", seed=5), write_run(tmp_path / "cnn2", model="cnn", seed=6, lr=9)]
    for number, run in enumerate(runs):
        write_predictions(run, answers(0.9, number))
    assert len(compared(runs).groups) == 4
    found = compared(runs, by=("model",))
    assert [(group.label, len(group.runs)) for group in found.groups] == [("mlp", 4), ("cnn", 2)]
    with pytest.raises(ConfigError) as error:
        compared(runs, by=("modle",))
    refused(error.value, "unknown-key", "--by")


def test_several_pairs_have_wider_intervals(tmp_path: Path) -> None:
    runs = two_groups(tmp_path, (0.7, 0.95), 3)
    alone = compared(runs).pairs[0].difference
    for seed in range(3):
        runs.append(write_run(tmp_path / f"vit-{seed}", model="vit", seed=seed))
        write_predictions(runs[-1], answers(0.94, 900 + seed))
    found = compared(runs)
    pair = next(pair for pair in found.pairs if {pair.first, pair.second} == {"mlp", "simple_cnn"})
    assert len(found.pairs) == 3
    assert pair.difference.level == pytest.approx(1 - 0.05 / 3)
    first, second = (
        np.array([answers(share, seed + 100 * (seed + before)) for seed in range(3)], float)
        for share, before in ((0.95, 3), (0.7, 0))
    )
    expected = over_seeds_and_samples(first, second, 1 - 0.05 / 3, is_one_of_several=True)
    assert (pair.difference.low, pair.difference.high) == pytest.approx((expected.low, expected.high))
    assert pair.difference.high - pair.difference.low > alone.high - alone.low
    assert any("Bonferroni" in note for note in found.notes)
    assert found.verdict.endswith((" not distinguishable from vit", " not distinguishable from simple_cnn"))


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("balanced_accuracy", lambda true, guess, shares: balanced_accuracy_score(true, guess)),
        ("log_loss", lambda true, guess, shares: log_loss(true, shares, labels=[0, 1, 2])),
    ],
)
def test_other_metrics_are_those_of_scikit_learn(metric: str, expected: object, tmp_path: Path) -> None:
    runs = two_groups(tmp_path, (0.6, 0.8), 1)
    values = []
    for share, seed in ((0.6, 0), (0.8, 100)):
        right = np.array(answers(share, seed))
        true = np.arange(300) % len(CLASSES)
        guess = np.where(right, true, (true + 1) % 3)
        shares = np.where(np.arange(3) == guess[:, None], 0.8, 0.1)
        values.append(expected(true, guess, shares))  # type: ignore[operator]
    (pair,) = compared(runs, metric=metric).pairs
    assert pair.first == "simple_cnn"
    assert pair.difference.value == pytest.approx(values[1] - values[0], abs=1e-9)


@pytest.mark.parametrize(("metric", "power"), [(None, 1), ("mse", 2)])
def test_values_are_paired_on_their_errors(metric: str | None, power: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    errors = [rng.normal(0, scale, 200) for scale in (3.0, 1.0)]
    runs = [write_run(tmp_path / str(number), lr=0.1 * (number + 1)) for number in range(2)]
    for run, values in zip(runs, errors, strict=True):
        write_values(run, list(values))
    found = compared(runs, metric=metric)
    assert (found.metric, found.maximize) == ("test/mae" if power == 1 else "test/mse", False)
    assert found.pairs[0].better == "lr=0.2"
    gain = np.mean(np.abs(errors[0]) ** power) - np.mean(np.abs(errors[1]) ** power)
    assert found.pairs[0].difference.value == pytest.approx(-gain)


def test_val_is_taken_where_not_all_have_a_test(tmp_path: Path) -> None:
    runs = two_groups(tmp_path, (0.7, 0.95), 2)
    (runs[0] / "eval" / "test" / "report.json").unlink()
    with pytest.raises(ConfigError) as error:
        compared(runs)
    refused(error.value, "missing-requirement", str(runs[0]), f"dlexp evaluate {runs[0]}")
    assert [problem.where for problem in error.value.problems] == [str(runs[0])]
    for number, run in enumerate(runs):
        write_predictions(run, answers(0.9, number), split="val")
    assert compared(runs).metric == "val/accuracy"


@pytest.mark.parametrize(
    ("break_it", "code", "remedy"),
    [
        (lambda run: rewrite(run / "meta.json", data_fingerprint="0" * 64), "incompatible-data", "dlexp runs --data"),
        (
            lambda run: rewrite(run / "meta.json", continued=["2999-01-01T00:00:00+00:00"]),
            "incompatible-run",
            "dlexp evaluate",
        ),
        (lambda run: rewrite(run / "eval/test/report.json", checkpoint="last"), "incompatible-run", "dlexp evaluate"),
        (
            lambda run: rewrite(run / "eval/test/report.json", data_as_trained=False),
            "incompatible-data",
            "dlexp evaluate",
        ),
        (lambda run: replace(run, "\n3,cat,", "\n777,cat,"), "incompatible-data", "data.split_seed"),
        (lambda run: replace(run, "\n3,cat,", "\n3,owl,"), "incompatible-data", "task"),
    ],
    ids=["data", "stale", "weights", "evaluated on", "rows", "answers"],
)
def test_what_cannot_be_paired_is_refused(break_it: object, code: str, remedy: str, tmp_path: Path) -> None:
    runs = two_groups(tmp_path, (0.7, 0.95), 2)
    break_it(runs[3])  # type: ignore[operator]
    with pytest.raises(ConfigError) as error:
        compared(runs)
    refused(error.value, code, str(runs[3]), remedy)
    if "--data" not in remedy:
        found = compared(runs, tables_only=True)
        assert (found.metric, found.samples) == ("val/loss", 0)
        assert found.pairs[0].difference.about == "seeds"


def test_tables_are_there_without_predictions(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / f"{model}-{seed}", model=model, seed=seed, loss=loss + 0.01 * seed)
        for model, loss in (("mlp", 0.5), ("cnn", 0.2))
        for seed in range(3)
    ]
    found = compared(runs, tables_only=True)
    assert found.verdict.startswith("cnn is better than mlp by 0.3 loss")
    assert found.groups[1].metrics["val/loss"].mean == pytest.approx(0.21)
    one_each = compared([runs[0], runs[3]], tables_only=True)
    assert (one_each.verdict, one_each.pairs) == ("", ())
    assert "dlexp evaluate" in one_each.unpaired


def test_many_groups_are_told_a_line_each_the_best_first(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / f"{lr}-{seed}", lr=lr, seed=seed) for lr in (0.1, 0.2, 0.3, 0.4) for seed in (0, 1)]
    for number, run in enumerate(runs):
        write_predictions(run, answers(0.5 + 0.05 * number, number))
    shown = printed(compared(runs), 80)
    first = [line.split()[0] for line in shown.splitlines() if line.startswith("lr=") and "±" in line]
    assert first == ["lr=0.4", "lr=0.3", "lr=0.2", "lr=0.1"]
    assert "lr=0.4 against each other group, test/accuracy" in shown
    assert shown.count("interval") == 4  # three pairs with the best, and the note
    assert max(map(len, shown.split("lr=0.4 against each other")[0].split("differences")[1].splitlines())) <= 80


def test_one_run_is_nothing_to_compare(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a")
    empty = write_run(tmp_path / "b", state="failed")
    (empty / "metrics.csv").unlink()
    with pytest.raises(ConfigError) as error:
        compared([run, empty, run])
    refused(error.value, "missing-value", "dlexp compare", "dlexp runs")
    assert str(empty) in error.value.problems[0].rule


def test_a_metric_that_cannot_be_paired_names_those_that_can(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        compared(two_groups(tmp_path, (0.7, 0.9), 1), metric="f1_macro")
    refused(error.value, "unknown-value", "--metric")
    assert "accuracy, balanced_accuracy, log_loss" in error.value.problems[0].rule


def test_the_files_hold_what_was_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLEXP_RUNS_DIR", str(tmp_path / "outputs"))
    found = compared(two_groups(tmp_path, (0.7, 0.95), 2))
    folder = save(found)
    content = json.loads((folder / "compare.json").read_text())
    assert content["verdict"] == found.verdict
    assert content["groups"][0]["runs"] == [str(path) for path in found.groups[0].runs]
    assert "mlp,test/accuracy," in (folder / "compare.csv").read_text()
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")


def rewrite(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def replace(run: Path, old: str, new: str) -> None:
    path = run / "eval" / "test" / "predictions.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
