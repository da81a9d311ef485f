"""The public bench of `dlexp doctor`: planted faults, healthy runs, and whether the remedies mend.

    python -m benchmarks.doctor --folder outputs/bench/doctor [--only train examine remedies] [--kinds A,B]
        [--networks mlp,cnn] [--seeds 0,1,2] [--healthy 60] [--part 1/2] [--again] [--markdown FILE]

Three stages. `train` makes the runs, and prints whether each planted fault hurts. `examine` asks the doctor, and counts
how far down the right finding stands, how often healthy runs get a warning or an error, and what the published rules of
AutoTrainer say of the same runs. `remedies` trains the sick runs again with the words of the right finding: it mends
where at least half of the gap to the healthy twin is closed, or, for faults that no metric shows, the finding is gone.

What was made is kept in `--folder`, in files of JSON lines, so a bench that was stopped continues; `--again`
repeats examinations by an older doctor. `--part 1/2` takes every second run, for a process on each core; a
last call without it prints the whole table. Thresholds of the doctor are set on seeds 0 and 1 of the first two networks
of each kind; the others are kept back, and told apart.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.doctor.examination import Examinations, alarms
from benchmarks.doctor.healthy import SEED, healthy_runs
from benchmarks.doctor.kinds.all import KINDS
from benchmarks.doctor.kinds.kind import Kind
from benchmarks.doctor.rows import Planned, Row, planned, row, trained
from benchmarks.doctor.runs import Outcome, Runs, Store
from benchmarks.doctor.tables import by_kind, illness, share, summary, table
from dlexp.runtime.process import prepare_process

STAGES = ("train", "examine", "remedies")


def main() -> None:
    """Run the stages that were asked for."""
    options = _options()
    folder, kinds = Path(options.folder), _chosen(options.kinds)
    runs, seen = Runs(folder), Examinations(folder / "findings.jsonl")
    part = _part(options.part)
    plans = list(planned(kinds, _names(options.networks), [int(seed) for seed in _names(options.seeds)], part))
    healthy = healthy_runs(options.healthy)[part[0] - 1 :: part[1]]
    report: list[str] = []
    if "train" in options.only:
        report += ["## Harm", _train(plans, runs)]
        for line, words in healthy:
            outcome = _told(f"train {line}", runs.of(words, SEED))
            assert outcome is not None
    if "examine" in options.only or "remedies" in options.only:
        rows = _rows(plans, runs, seen, Store(folder / "baseline.jsonl"), options.again, "remedies" in options.only)
        report += ["## By kind", by_kind(rows), "## All", summary(rows), "## Remedies", _treatments(rows)]
        report += ["## Healthy runs", _alarms(healthy, runs, seen, options.again)]
    text = "\n\n".join(report)
    print(text)
    if options.markdown:
        Path(options.markdown).write_text(text + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", default="outputs/bench/doctor", help="where runs and results are kept")
    parser.add_argument("--only", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--kinds", default="", help="names, with commas; all kinds otherwise")
    parser.add_argument("--networks", default="", help="names, with commas; the three of each kind otherwise")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--healthy", type=int, default=60, help="how many healthy runs")
    parser.add_argument("--part", default="1/1", help="which part of how many")
    parser.add_argument("--again", action="store_true", help="repeat the examinations")
    parser.add_argument("--markdown", help="a file for what is printed")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _part(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    return int(number), int(count)


def _chosen(text: str) -> list[Kind]:
    names = _names(text)
    if unknown := set(names) - {kind.name for kind in KINDS}:
        raise SystemExit(f"--kinds {','.join(sorted(unknown))} must be among {', '.join(kind.name for kind in KINDS)}")
    return [kind for kind in KINDS if not names or kind.name in names]


def _told(text: str, outcome: Outcome | None) -> Outcome | None:
    print(f"{text}: {outcome.seconds if outcome else 0} s", flush=True)
    return outcome


def _train(plans: Sequence[Planned], runs: Runs) -> str:
    made = []
    for plan in plans:
        healthy, sick = trained(plan, runs)
        print(f"train {plan.kind.name} {plan.case.network} {plan.seed}: {sick.seconds} s", flush=True)
        made.append((plan, healthy, sick))
    return illness(made)


def _rows(
    plans: Sequence[Planned], runs: Runs, seen: Examinations, rules: Store, again: bool, remedies: bool
) -> list[Row]:
    rows = []
    for plan in plans:
        found = row(plan, runs, seen, rules, again=again, remedies=remedies)
        mended = "" if found.treatment is None else f", mended: {found.treatment.is_mended}"
        where = f"{plan.kind.name} {plan.case.network} {plan.seed}"
        print(f"examine {where}: place {found.place} of {list(found.codes)}{mended}", flush=True)
        rows.append(found)
    return rows


def _treatments(rows: Sequence[Row]) -> str:
    lines = [
        (
            one.planned.kind.name, one.planned.case.network, one.planned.seed, " ".join(one.treatment.words) or "none",
            {True: "yes", False: "no", None: "-"}[one.treatment.is_mended], one.treatment.text.replace("\n", " "),
        )
        for one in rows
        if one.treatment is not None
    ]  # fmt: skip
    return table(("kind", "network", "seed", "words", "mended", "healthy / sick / with the words"), lines)


def _alarms(healthy: Sequence[tuple[str, dict[str, str]]], runs: Runs, seen: Examinations, again: bool) -> str:
    lines, warned, wrong = [], 0, 0
    for line, words in healthy:
        outcome = runs.of(words, SEED)
        assert outcome is not None
        findings = seen.of(outcome, again=again)
        print(f"examine {line}: {alarms(findings)}", flush=True)
        warned += bool(alarms(findings))
        wrong += bool(alarms(findings, ("error",)))
        if told := [f"{one['code']} ({one['severity']})" for one in findings if one["severity"] != "note"]:
            lines.append((line, ", ".join(told)))
    count = len(healthy)
    shares = f"With a warning or an error: {share(warned, count)}. With an error: {share(wrong, count)}."
    return shares + "\n\n" + table(("healthy run", "findings"), lines)


if __name__ == "__main__":
    prepare_process()
    main()
