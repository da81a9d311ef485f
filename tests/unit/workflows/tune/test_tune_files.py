"""What a study says and writes: the verdict is Welch's, and a kill at any moment leaves whole files (T7, T14)."""

from __future__ import annotations

import csv
import json
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from dlexp.artifacts.files.writing import write_text
from dlexp.config.files.catalog import Catalog
from dlexp.config.saved import to_yaml
from dlexp.config.search import Search, load_search, rules_of
from dlexp.tune.study import Study
from dlexp.workflows.tune.files import Confirmation, log_reference, write_end, write_progress

pytestmark = pytest.mark.pictures


class Killed(BaseException):
    """The process ends here, and nothing that it would have done after happens."""


@pytest.fixture(scope="module")
def search() -> Search:
    words = ("data=iris", "optim=sgd", "trainer.epochs=3", "search.pruner=none", "search.sampler=random")
    return load_search(words, Catalog())


def grown(folder: Path, search: Search, values: list[float | None]) -> Study:
    """A study with further trials of these values; None is one that failed."""
    study = Study("s", None, folder, rules_of(search), search.space)
    for value in values:
        proposal = study.ask(99, {}, {})
        assert proposal is not None
        place = f"trials/{proposal.trial.number:04d}"
        proposal.trial.set_user_attr("folder", place)
        write_text(folder / place / "config.yaml", to_yaml(search.config_of(proposal.chosen, proposal.values)))
        if value is None:
            study.fail(proposal.trial, "oom")
        else:
            study.report(proposal.trial, 1, value)
            study.complete(proposal.trial, value)
    return study


def summary(folder: Path) -> tuple[int, int, str]:
    """(trials of study.json, rows of trials.csv, first line of best.yaml), each read whole."""
    content = json.loads((folder / "study.json").read_text())
    with (folder / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {len(row) for row in rows} == {len(rows[0])}
    best = (folder / "best.yaml").read_text()
    assert yaml.safe_load(best)["choices"]["data"] == "iris"
    return sum(content["trials"].values()), len(rows), best.splitlines()[0]


def dying(real: Callable[..., Any], left: list[int], after: bool) -> Callable[..., Any]:
    """`real` until it was called left[0] times, over all functions that share `left`; then the process is killed."""

    def step(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if left[0] < 0 and not after:
            raise Killed
        found = real(*args, **kwargs)
        if left[0] < 0:
            raise Killed
        return found

    return step


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_any_step_of_writing_leaves_files_that_parse(
    tmp_path: Path, search: Search, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    old_study = grown(tmp_path, search, [0.5, None])
    write_progress(tmp_path, search, old_study)
    old = summary(tmp_path)
    assert old[:2] == (2, 2)
    study = grown(tmp_path, search, [0.25])
    seen = set()
    for steps in range(99):
        left = [steps]
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", dying(os.fsync, left, after))
            patch.setattr(Path, "replace", dying(Path.replace, left, after))
            try:
                write_progress(tmp_path, search, study)
            except Killed:
                seen.add(summary(tmp_path))
                continue
        break
    else:
        pytest.fail("it never ended")
    new = summary(tmp_path)
    assert new[:2] == (3, 3)
    assert "0.25" in new[2]
    assert steps >= 9  # three files: written, renamed, their directory flushed
    assert {found[2] for found in seen} == {old[2], new[2]}  # best.yaml is the old one, or the new one
    assert all(found[0] in (2, 3) and found[1] in (2, 3) for found in seen)


def test_the_end_is_told_in_every_file(tmp_path: Path, search: Search) -> None:
    study = grown(tmp_path, search, [0.5, 0.25, None])
    verdict = Confirmation.of({"baseline": [3.0, 4.0, 5.0], "trial 1": [1.0, 2.0, 3.0]}, maximize=False)
    content = write_end(tmp_path, search, study, verdict, "3 trials done", "dlexp tune <x>")
    assert json.loads((tmp_path / "study.json").read_text()) == json.loads(json.dumps(content))
    assert content["best"]["value"] == 0.25
    assert content["trials"] == {"complete": 2, "failed": 1}
    assert {"dlexp", "python", "torch", "optuna"} <= content["made_with"].keys()
    page = (tmp_path / "report.html").read_text()
    assert "dlexp tune &lt;x&gt;" in page
    assert verdict.text in page.replace("&#x27;", "'")
    assert page.count("data:image/png;base64,") == len(list((tmp_path / "plots").iterdir())) == 4
    assert page.count('<tr class="marked">') == 1


def test_importances_are_shown_from_20_complete_trials_on_and_called_what_they_are(
    tmp_path: Path, search: Search
) -> None:
    values: list[float | None] = [1.0 + number % 7 for number in range(19)]
    few = write_end(tmp_path, search, grown(tmp_path, search, [*values, None]), None, "", "")
    assert few["importances"] == {}
    assert not (tmp_path / "plots" / "importances.png").exists()
    assert few["without_importances"] in (tmp_path / "report.html").read_text()
    assert re.findall(r"\d+", few["without_importances"]) == ["20", "19"]
    enough = write_end(tmp_path, search, grown(tmp_path, search, [9.0]), None, "", "")
    assert sum(enough["importances"].values()) == pytest.approx(1.0)
    assert (tmp_path / "plots" / "importances.png").is_file()
    page = (tmp_path / "report.html").read_text()
    assert enough["without_importances"] == ""
    assert "PED-ANOVA" in page
    assert "explains" not in page


def test_a_study_without_a_result_has_a_page_too(tmp_path: Path, search: Search) -> None:
    content = write_end(tmp_path, search, grown(tmp_path, search, [None]), None, "it broke", "")
    assert content["best"] is None
    assert "it broke." in (tmp_path / "report.html").read_text()
    assert not (tmp_path / "best.yaml").exists()


def test_a_failure_names_the_file_with_its_traceback_when_there_is_one(tmp_path: Path) -> None:
    log = tmp_path / "trials" / "0000" / "output.log"
    assert log_reference(tmp_path, {}) == ""
    assert log_reference(tmp_path, {"folder": "trials/0000"}) == ""
    write_text(log, "")
    assert log_reference(tmp_path, {"folder": "trials/0000"}) == ""
    write_text(log, "Traceback\n")
    assert log_reference(tmp_path, {"folder": "trials/0000"}) == f" ({log})"


# By hand: mean difference, and t times the standard error with Welch's degrees of freedom.
@pytest.mark.parametrize(
    ("one", "other", "gain", "margin"),
    [
        ([11.0, 12.0, 13.0], [1.0, 2.0, 3.0], 10.0, 2.776 * math.sqrt(2 / 3)),  # 4 degrees
        ([1.0, 3.0], [0.0, 0.0], 2.0, 12.706 * 1.0),  # 1 degree
        ([5.0, 6.0, 7.0, 8.0], [1.0, 2.0, 3.0], 4.5, 2.776 * math.sqrt(5 / 12 + 1 / 3)),  # 4.97 degrees, taken as 4
    ],
)
@pytest.mark.parametrize("maximize", [True, False])
def test_the_interval_is_welchs(
    one: list[float], other: list[float], gain: float, margin: float, maximize: bool
) -> None:
    sign = 1 if maximize else -1
    values = {"baseline": [sign * v for v in other], "trial 3": [sign * v for v in one]}
    verdict = Confirmation.of(values, maximize)
    assert f"{gain:.4g} (95 % interval +- {margin:.4g})" in verdict.text
    assert verdict.winner == ("trial 3" if gain > margin else "baseline")
    worse = Confirmation.of({"baseline": values["trial 3"], "trial 3": values["baseline"]}, maximize)
    assert worse.winner == "baseline"
    assert "better than the baseline by" not in worse.text
    assert (f"is worse by {gain:.4g} (95 % interval +- {margin:.4g})" in worse.text) == (gain > margin)


def test_the_interval_is_never_narrower_than_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    checked = 0
    for one_n in (2, 3, 5, 17, 40):
        for other_n in (2, 4, 30):
            one = [math.sin(7.0 * n) + 0.3 for n in range(one_n)]
            other = [3 * math.cos(5.0 * n) for n in range(other_n)]
            found = stats.ttest_ind(one, other, equal_var=False)
            low, high = found.confidence_interval(0.95)
            text = Confirmation.of({"baseline": other, "trial 1": one}, maximize=True).text
            margin = float(text.rpartition("+- ")[2].rstrip(")"))
            floor = max(1, min(16, int(found.df)))
            widest = stats.t.ppf(0.975, floor) / stats.t.ppf(0.975, found.df) * (high - low) / 2
            assert (high - low) / 2 * 0.999 <= margin <= widest * 1.001
            checked += 1
    assert checked == 15


def test_the_best_of_several_is_held_against_the_baseline() -> None:
    values = {"baseline": [1.0, 1.1, 0.9], "trial 4": [5.0, 5.1, 4.9], "trial 2": [3.0, 3.1, 2.9], "trial 9": []}
    verdict = Confirmation.of(values, maximize=True)
    assert verdict.winner == "trial 4"
    assert verdict.text.startswith("trial 4 is better than the baseline by 4 ")
    assert Confirmation.of(values, maximize=False).winner == "baseline"
    assert verdict.rows["trial 9"] == {"values": [], "mean": None, "std": None, "n": 0}
    assert verdict.rows["baseline"]["mean"] == pytest.approx(1.0)
    assert verdict.rows["baseline"]["std"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("baseline", "rival"), [([], [1.0, 2.0]), ([1.0], [1.0, 2.0]), ([1.0, 2.0], []), ([1.0, 2.0, 1.5], [9.0])]
)
def test_too_few_values_prove_nothing(baseline: list[float], rival: list[float]) -> None:
    verdict = Confirmation.of({"baseline": baseline, "trial 1": rival}, maximize=True)
    assert verdict.winner == "baseline"
    assert "better than the baseline by" not in verdict.text


@pytest.mark.parametrize("rival", [1.0, 2.0])
def test_values_without_spread_prove_nothing(rival: float) -> None:
    """An accuracy on 30 samples is often the same for three seeds: a difference of one sample is no verdict."""
    verdict = Confirmation.of({"baseline": [1.0, 1.0, 1.0], "trial 1": [rival] * 3}, True)
    assert verdict.winner == "baseline"
    assert "better than the baseline by" not in verdict.text
    assert ("unknown" in verdict.text) == (rival > 1)


def best_of(values: dict[str, list[float]], maximize: bool) -> Confirmation:
    """The verdict on values of which less is better, as they are or with their signs turned round."""
    return Confirmation.of({name: [-v if maximize else v for v in found] for name, found in values.items()}, maximize)


@pytest.mark.parametrize("maximize", [True, False])
def test_the_winner_of_a_confirmation_is_the_best_in_the_studys_direction(maximize: bool) -> None:
    values = {
        "baseline": [5.0, 5.1, 4.9],
        "trial 4": [4.0, 4.1, 3.9],
        "trial 2": [2.0, 2.1, 1.9],
        "trial 7": [9.0, 9.1],
    }
    verdict = best_of(values, maximize)
    assert verdict.winner == "trial 2"
    assert verdict.text.startswith("trial 2 is better than the baseline by 3 (")
    worse = best_of({"baseline": [1.0, 1.1, 0.9], **{k: v for k, v in values.items() if k != "baseline"}}, maximize)
    assert worse.winner == "baseline"
    assert "trial 2 is worse by 1 (" in worse.text  # the best of them is named


def test_the_best_of_several_takes_its_share_of_the_5_percent() -> None:
    stats = pytest.importorskip("scipy.stats")
    values = {"baseline": [1.0, 2.0, 3.0], "trial 1": [0.0, 0.5], "trial 2": [5.0, 6.0, 7.0], "trial 3": [1.0], "x": []}
    text = Confirmation.of(values, maximize=True).text
    margin = stats.t.isf(0.05 / 3 / 2, 4) * math.sqrt(2 / 3)
    assert f"trial 2 is better than the baseline by 4 (98.33 % interval +- {margin:.4g})" in text
    assert "3" in text.partition(";")[2] and "95 %" in text


@pytest.mark.parametrize("seeds", [3, 10])
def test_of_five_trials_that_are_no_better_one_is_named_in_2_and_a_half_of_100_at_most(seeds: int) -> None:
    rng, wrong = np.random.default_rng(0), 0
    for _ in range(1000):
        drawn = rng.normal(size=(6, seeds))
        values = {name: [*map(float, row)] for name, row in zip(("baseline", *"abcde"), drawn, strict=True)}
        wrong += Confirmation.of(values, maximize=False).winner != "baseline"
    assert wrong <= 25  # with an interval of 95 % whatever their number, 38 and 84 were
