"""The winner of a study is confirmed on seeds that the search never used, the same ones for every configuration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dlexp.config.files.catalog import Catalog
from dlexp.config.search import load_search, rules_of
from dlexp.runtime.signals import StopRequest
from dlexp.tune.study import BaseConfig, Study
from dlexp.workflows.tune import tune as workflow
from dlexp.workflows.tune.confirmation import fresh_seeds
from dlexp.workflows.tune.tune import Runner, TuneRequest


class FakePool:
    """Ends each job at once with the value that its work is."""

    def __init__(self, size: int) -> None:
        self.children: list[Any] = []
        self.has_room = True

    def start(self, key: str, output: Path, work: float) -> None:
        self.children.append((key, work))

    def events(self) -> Iterator[tuple[Any, dict[str, Any]]]:
        for key, value in self.children:
            yield type("Child", (), {"key": key})(), {"value": value}
        self.children = []


def test_seeds_are_fresh_when_the_search_has_used_those_that_come_first() -> None:
    assert fresh_seeds(0, (), 3) == [1000, 1001, 1002]
    assert fresh_seeds(7, {7, 1007, 1009, 3}, 3) == [1008, 1010, 1011]


@pytest.mark.parametrize("maximize", [False, True])
def test_every_configuration_is_confirmed_on_the_same_fresh_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, maximize: bool
) -> None:
    space = ("search.space.seed={int:[990,1010]}", "search.confirm_top=2", "search.confirm_seeds=4", "seed=3")
    search = load_search(("data=iris", "optim=sgd", "search.sampler=random", *space), Catalog())
    search = replace(search, base=replace(search.base, maximize=maximize))
    study = Study("s", None, tmp_path, rules_of(search), search.space)
    study.begin(BaseConfig({}, {}))
    used = set()
    for number in range(12):
        proposal = study.ask(12, {}, {})
        assert proposal is not None
        used.add(proposal.values.get("seed", search.base.seed))
        study.complete(proposal.trial, float(-number if maximize else number))
    best = [trial.number for trial in study.ranked()[:2]]
    assert best == [0, 1]
    jobs: list[Any] = []

    def work_of(job: Any) -> float:
        jobs.append(job)
        sign = 1 if maximize else -1
        is_other = job.config.optim.arguments["lr"] != search.base.optim.arguments["lr"]
        seed: int = job.config.seed
        return float(sign * is_other + seed)

    monkeypatch.setattr(workflow, "Pool", FakePool)
    monkeypatch.setattr(workflow, "work_of", work_of)
    request = TuneRequest(tmp_path, 12, 1, None, (), ())
    verdict = Runner(search, request, study, None, None, 1).confirm(StopRequest())  # type: ignore[arg-type]
    seeds: dict[str, list[int]] = {}
    for job in jobs:
        seeds.setdefault(job.folder.name.rpartition("-seed-")[0], []).append(job.config.seed)
        assert job.folder.name.endswith(f"-seed-{job.config.seed}")
        assert f"seed={job.config.seed}" in job.overrides
    assert seeds.keys() == {"baseline", "trial-1"}  # trial 0 is the baseline itself
    assert seeds["baseline"] == seeds["trial-1"]
    assert len(set(seeds["baseline"])) == 4
    assert not used & set(seeds["baseline"])
    assert {seed for seed in used if seed >= 1000}  # such as the first ones that are free otherwise
    assert [verdict.rows[name]["n"] for name in ("baseline", "trial 1")] == [4, 4]
