"""The command `dlexp train -m`: runs a sweep, shows its progress and prints the table of its jobs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dlexp.cli.argv import CommonOptions
from dlexp.cli.commands.results.compare import print_comparison
from dlexp.cli.console import escape, out, print_json, short_path, table
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError
from dlexp.report.number_format import number
from dlexp.text.quoting import command
from dlexp.text.time_format import spoken

if TYPE_CHECKING:
    from dlexp.cli.commands.configuration import TrainArguments
    from dlexp.config.sweep import SweepJob
    from dlexp.workflows.compare.compare import Comparison

_MAX_GROUPS = 4  # configurations in a comparison
_OTHER_COLUMNS = 27  # characters of the columns number, state and time


def sweep(arguments: TrainArguments, common: CommonOptions, catalog: Catalog, quiet: bool, as_json: bool) -> None:
    """Run or resume a sweep, or list its jobs; the exit code is 1 unless all jobs have finished."""
    from dlexp.cli.commands.configuration import configuration, resumed_sweep, trusted_of
    from dlexp.cli.views.sweep import display

    folder = resumed_sweep(arguments.resume) if arguments.resume is not None else _folder(arguments)
    jobs = () if arguments.resume is not None else _jobs(arguments, catalog)
    if arguments.resume is not None and arguments.overrides:
        rule = "cannot be overridden when resuming a sweep"
        raise ConfigError.one(
            "--resume", " ".join(arguments.overrides), rule, "Start a new sweep with -m.", code="not-supported"
        )
    trusted = trusted_of(common)
    from dlexp.workflows.sweep import sweep as workflow

    if arguments.dry_run:
        _list(workflow.check_jobs(jobs, trusted, arguments.jobs)[0], arguments.from_run, as_json)
        return
    if arguments.from_run is not None:  # overrides.yaml of a job must contain all overrides, to be repeatable
        before = configuration((), arguments.from_run, catalog)[1]
        jobs = tuple(replace(job, overrides=(*before, *job.overrides)) for job in jobs)
    request = workflow.SweepRequest(
        _typed(arguments), common.command, folder, arguments.jobs, trusted, allow_changes=arguments.allow_changes
    )
    shown = display(quiet)
    try:
        if arguments.resume is not None and folder is not None:
            content = workflow.resume_sweep(folder, request, shown)
        else:
            content = workflow.sweep(jobs, request, shown)
    finally:
        with suppress(OSError):  # the terminal was closed
            shown.end()
    comparison = _compared(content)
    if as_json:
        print_json(content | {"comparison": comparison.as_dict() if comparison else None})
    else:
        _show(content, comparison)
    if content["counts"].get("finished", 0) < len(content["jobs"]):
        raise typer.Exit(1)


def _folder(arguments: TrainArguments) -> Path | None:
    from dlexp.artifacts.runs.run_dir import outputs_root

    return arguments.run_dir if arguments.run_id is None else outputs_root() / "sweep" / arguments.run_id


def _typed(arguments: TrainArguments) -> tuple[str, ...]:
    """The arguments that define the jobs, as they are saved with the sweep."""
    given = (("--from", arguments.from_run), ("--seeds", arguments.seeds))
    return (*arguments.overrides, *(f"{name}={value}" for name, value in given if value is not None))


def _jobs(arguments: TrainArguments, catalog: Catalog) -> tuple[SweepJob, ...]:
    from dlexp.cli.commands.configuration import configuration
    from dlexp.config.sweep import sweep_jobs

    def load(own: tuple[str, ...]) -> Any:
        return configuration(own, arguments.from_run, catalog)[0]

    jobs = sweep_jobs(arguments.overrides, catalog, load)
    if arguments.seeds is None:
        return jobs
    if any(key == "seed" for job in jobs for key, _ in job.varied):
        raise ConfigError.one(
            "--seeds",
            arguments.seeds,
            "cannot be combined with several values of seed",
            "Remove one of the two.",
            code="cannot-combine",
        )
    first = jobs[0].config.seed
    seeds = ",".join(str(first + offset) for offset in range(arguments.seeds))
    rest = tuple(word for word in arguments.overrides if not word.startswith("seed="))
    return sweep_jobs((*rest, f"seed={seeds}"), catalog, load)


def _list(jobs: Sequence[SweepJob], from_run: str | None, as_json: bool) -> None:
    if as_json:
        print_json(
            [{"number": n, "varied": dict(c.varied), "overrides": list(c.overrides)} for n, c in enumerate(jobs)]
        )
        return
    first = ["train", *(["--from", from_run] if from_run is not None else [])]
    for position, job in enumerate(jobs):
        out.print(f"{position:>4}  {escape(command(*first, *job.overrides))}")
    epochs = sum(job.config.trainer.epochs for job in jobs)
    out.print(f"\n{len(jobs)} jobs, at most {epochs:,} epochs; all were built, none was trained")


def _compared(content: Mapping[str, Any]) -> Comparison | None:
    """The comparison of the finished jobs; None if there are fewer than two, or too many configurations."""
    from dlexp.workflows.compare.compare import CompareOptions, compare

    finished = [job for job in content["jobs"] if job["state"] == "finished"]
    groups = {tuple(item for item in job["varied"].items() if item[0] != "seed") for job in finished}
    if len(finished) < 2 or len(groups) > _MAX_GROUPS:
        return None
    runs = [Path(content["sweep"]) / job["run"] for job in finished]
    return compare(runs, CompareOptions(tables_only=True))


def _show(content: Mapping[str, Any], comparison: Comparison | None) -> None:
    """Print the jobs with their metrics, the failures with their reasons, and the files."""
    jobs, folder = content["jobs"], short_path(content["sweep"])
    keys = list(dict.fromkeys(key for job in jobs for key in job["varied"]))
    metrics = _columns(content, keys)
    rows = []
    for job in jobs:
        star = "*" if job["number"] == content["best"] else " "
        values = [number(name, job["metrics"].get(name)) for name in metrics]
        seconds = spoken(job["seconds"]) if job["seconds"] is not None else ""
        varied = [job["varied"].get(key, "") for key in keys]
        rows.append([f"{job['number']}{star}", *varied, job["state"], *values, seconds])
    out.print()
    out.print(table(_title(content), ["job", *keys, "state", *metrics, "time"], rows, numbers_from=len(keys) + 2))
    for job in jobs:
        if job["reason"]:
            log = f"{folder}/logs/{job['number']:03d}.log"
            name = " ".join(f"{key}={value}" for key, value in job["varied"].items())
            out.print(f"\n[bold red]job {job['number']}[/] {escape(name)}: {escape(job['reason'])}\n  {escape(log)}")
    if comparison is not None:
        out.print()
        print_comparison(comparison, out)
    elif "seed" in keys:
        _over_seeds(jobs, [key for key in keys if key != "seed"], metrics)
    counts = ", ".join(f"{count} {state}" for state, count in content["counts"].items())
    out.print(f"\n{counts} of {len(jobs)}\n\n  sweep    {escape(folder)}\n  table    {escape(folder)}/sweep.json")
    if comparison is None and content["counts"].get("finished", 0) > 1:
        out.print(f"\n  compare  {escape(command('compare', Path(folder)))}")
    if len(content["jobs"]) > content["counts"].get("finished", 0):
        out.print(f"\nnext: {escape(command('train', '--resume', Path(folder)))}    (finished jobs are kept)")


def _over_seeds(jobs: Sequence[Mapping[str, Any]], keys: Sequence[str], metrics: Sequence[str]) -> None:
    """Print a row per configuration: mean and standard deviation (n - 1) over its finished seeds."""
    groups: dict[tuple[str, ...], list[Mapping[str, float]]] = {}
    for job in jobs:
        if job["state"] == "finished":
            groups.setdefault(tuple(job["varied"].get(key, "") for key in keys), []).append(job["metrics"])
    rows = []
    for names, found in groups.items():
        spreads = []
        for metric in metrics:
            values = [float(row[metric]) for row in found if row.get(metric) is not None]
            mean = number(metric, statistics.fmean(values) if values else None)
            spreads.append(f"{mean} ± {number(metric, statistics.stdev(values))}" if len(values) > 1 else mean)
        rows.append([*names, str(len(found)), *spreads])
    out.print()
    title = "mean ± standard deviation over the seeds"
    out.print(table(title, [*keys, "n", *metrics], rows, numbers_from=len(keys)))


def _title(content: Mapping[str, Any]) -> str:
    return f"at the best epoch by {content['metric']}" if content["metric"] else "at the best epoch of each job"


def _columns(content: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    """The monitored metric, then as many others as fit on the screen; sweep.json has all."""
    names = list(dict.fromkeys(name for job in content["jobs"] for name in job["metrics"]))
    first = [content["metric"]] if content["metric"] in names else names[:1]
    room = out.width - _OTHER_COLUMNS
    for key in keys:
        room -= 2 + max(len(key), *(len(job["varied"].get(key, "")) for job in content["jobs"]))
    found: list[str] = []
    for name in [*first, *(name for name in names if name not in first)]:
        room -= 2 + max(len(name), 8)
        if room < 0 and found:
            break
        found.append(name)
    return found
