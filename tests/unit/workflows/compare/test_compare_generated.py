"""Generative runs compared by the figures of their samples, over run directories that were written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from refusals import refused
from run_toys import write_run

from dlexp.errors import ConfigError
from dlexp.workflows.compare.compare import CompareOptions, compare

DISTANCES = {"gan": (3.0, 3.2, 3.1), "diffusion": (1.0, 1.1, 1.2)}


def measured(root: Path, seeds: int = 3, **facts: Any) -> list[Path]:
    """Runs of two models whose samples were measured; `facts` of the second model's last run."""
    found = []
    for model, values in DISTANCES.items():
        for seed, value in enumerate(values[:seeds]):
            run = write_run(root / f"{model}-{seed}", model=model, seed=seed)
            made = {"samples": 500, "features_of": "classifier", "steps": None, "guidance": None}
            content = {
                "checkpoint": "best",
                "evaluated": "2026-01-01T00:00:00+00:00",
                "metrics": {"loss": 1.0, "frechet": value, "cas": 1 - value / 10, "frechet_floor": 0.7},
                "generated": made,
                "floors": {"frechet": 0.7},
            }
            (run / "eval" / "test").mkdir(parents=True)
            found.append(run)
            if len(found) == 2 * seeds:
                made |= facts
            (run / "eval" / "test" / "report.json").write_text(json.dumps(content))
    return found


def test_the_frechet_distance_decides_over_seeds(tmp_path: Path) -> None:
    found = compare(measured(tmp_path), CompareOptions())
    assert (found.metric, found.maximize, found.samples) == ("test/frechet", False, 0)
    (pair,) = found.pairs
    assert (pair.better, pair.difference.about) == ("diffusion", "seeds")
    assert pair.difference.value == pytest.approx(-2.0)
    assert "frechet" in found.verdict
    assert not any("Include the samples" in note for note in found.notes)
    assert found.groups[0].metrics["test/frechet_floor"].mean == pytest.approx(0.7)


def test_another_figure_has_its_own_direction_and_is_a_share(tmp_path: Path) -> None:
    found = compare(measured(tmp_path), CompareOptions(metric="cas"))
    assert (found.metric, found.maximize, found.pairs[0].better) == ("test/cas", True, "diffusion")
    assert "20 points of cas" in found.verdict


def test_one_seed_of_each_is_not_enough(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        compare(measured(tmp_path, seeds=1), CompareOptions())
    refused(caught.value, "missing-requirement", "--metric", "--seeds 5")


@pytest.mark.parametrize("facts", [{"samples": 100}, {"steps": 20}, {"features_of": "inputs"}])
def test_samples_that_were_made_in_another_way_are_refused(tmp_path: Path, facts: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        compare(measured(tmp_path, **facts), CompareOptions())
    refused(caught.value, "incompatible-run", "diffusion-2", "--samples 500")


def test_other_data_are_refused(tmp_path: Path) -> None:
    runs = measured(tmp_path)
    meta = json.loads((runs[0] / "meta.json").read_text())
    (runs[0] / "meta.json").write_text(json.dumps(meta | {"data_fingerprint": "e" * 64}))
    with pytest.raises(ConfigError) as caught:
        compare(runs, CompareOptions())
    refused(caught.value, "incompatible-data")


def scored(path: Path, columns: str, task: str) -> Path:
    """An evaluated run whose table has values of each sample in place of answers."""
    run = write_run(path, model=path.name)
    (run / "config.yaml").write_text(f"choices:\n  task: {task}\nseed: 0\n")
    (run / "eval" / "test").mkdir(parents=True)
    report = {"checkpoint": "best", "evaluated": "2026-01-01T00:00:00+00:00", "metrics": {}}
    (run / "eval" / "test" / "report.json").write_text(json.dumps(report))
    if columns:
        rows = "".join(f"{row},{'1.0,' * columns.count(',')}".rstrip(",") + "\n" for row in range(4))
        (run / "eval" / "test" / "predictions.csv").write_text(f"{columns}\n{rows}")
    return run


@pytest.mark.parametrize("metric", [None, "reconstruction"])
def test_values_of_each_sample_of_two_tasks_are_not_compared(tmp_path: Path, metric: str | None) -> None:
    one = scored(tmp_path / "vae", "row,loss,reconstruction", "vae")
    other = scored(tmp_path / "autoencoder", "row,reconstruction", "reconstruction")
    with pytest.raises(ConfigError) as caught:
        compare([one, other], CompareOptions(metric=metric))
    refused(caught.value, "incompatible-run", "autoencoder", "--metric frechet")


def test_a_column_that_one_table_lacks_is_named(tmp_path: Path) -> None:
    one = scored(tmp_path / "vae", "row,loss,kl", "vae")
    other = scored(tmp_path / "mine", "row,loss", "vae")
    with pytest.raises(ConfigError) as caught:
        compare([one, other], CompareOptions(metric="kl"))
    refused(caught.value, "missing-requirement", "mine", "dlexp evaluate")


def test_runs_without_values_of_each_sample_are_not_sent_to_evaluate_again(tmp_path: Path) -> None:
    runs = [scored(tmp_path / name, "", "adversarial") for name in ("gan", "wgan")]
    with pytest.raises(ConfigError) as caught:
        compare(runs, CompareOptions())
    refused(caught.value, "not-supported", "gan", "--metric frechet")
    (runs[0] / "eval" / "test" / "report.json").unlink()
    with pytest.raises(ConfigError) as caught:
        compare(runs, CompareOptions())
    (problem,) = caught.value.problems
    assert problem.where == str(runs[0]) and problem.remedy.startswith("dlexp evaluate")
