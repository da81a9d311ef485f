"""From the words of a command to a workflow and back to something to read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from dlexp.cli import show
from dlexp.cli.console import err, out, over_seeds, print_json, table
from dlexp.cli.words import Setting as Setting
from dlexp.config.catalog import Catalog
from dlexp.config.suggest import nearest
from dlexp.errors import ConfigError

if TYPE_CHECKING:
    from dlexp.config.repeat import Change
    from dlexp.config.schema import RunConfig
    from dlexp.workflows.reporting import Reporter
    from dlexp.workflows.train import Request

_EVALUATION_KEYS = (
    "trainer.device",
    "trainer.precision",
    "trainer.threads",
    "trainer.channels_last",
    "trainer.compile",
    "trainer.tf32",
    "data.eval_batch_size",
    "data.path",
    "data.folder",
    "data.download",
    "data.in_memory",
    "data.workers",
)
_FEWEST = 100  # resamples that an interval can come from
_BOOLS = {"true": True, "false": False}


@dataclass(frozen=True)
class TrainWords:
    """The words of `dlexp train`. `resume` is "" for the newest unfinished run."""

    overrides: tuple[str, ...]
    resume: str | None
    from_run: str | None
    seeds: int | None
    run_dir: Path | None
    dry_run: bool
    allow_changes: bool
    run_id: str | None = None
    multirun: bool = False
    jobs: int = 1


@dataclass(frozen=True)
class EvaluateWords:
    """The words of `dlexp evaluate`."""

    run: str
    overrides: tuple[str, ...]
    split: str
    checkpoint: str
    allow_changes: bool
    resamples: int = 1000
    level: float = 0.95


def train(words: TrainWords, setting: Setting, quiet: bool, as_json: bool) -> None:
    """Start, repeat, continue or only try a run, and show what came out."""
    _refuse_contradictions(words)
    catalog = Catalog(setting.config_dirs)
    from dlexp.cli import sweep

    if words.multirun or sweep.is_meant(words):
        sweep.sweep(words, setting, catalog, quiet, as_json)
        return
    if words.resume is not None:
        _resume(words, setting, catalog, quiet, as_json)
        return
    config, typed, changes = configuration(words.overrides, words.from_run, catalog)
    trusted = trusted_of(setting)
    from dlexp.cli.display import reporter
    from dlexp.workflows import train as workflow
    from dlexp.workflows.seeds import train_seeds

    if words.dry_run:
        show.dry_run(workflow.dry_run(config, trusted), as_json)
        return
    request = workflow.Request(typed, (setting.command,), words.run_dir, trusted, allow_changes=words.allow_changes)
    display = reporter(quiet)
    if changes is not None:
        show.changes(changes, display.say)
    if words.run_id is not None:
        _under_id(words.run_id, words.seeds, config, request, display, as_json)
    elif words.seeds is not None:
        show.seeds(train_seeds(config, request, words.seeds, display), as_json)
    else:
        show.summary(workflow.train(config, request, display), as_json)


def _under_id(
    name: str, seeds: int | None, config: RunConfig, request: Request, display: Reporter, as_json: bool
) -> None:
    from dlexp.workflows.run_id import train_seeds_under_id, train_under_id

    if seeds is not None:
        show.seeds(train_seeds_under_id(config, request, name, seeds, display), as_json)
    else:
        show.summary(train_under_id(config, request, name, display), as_json)


def evaluate(words: EvaluateWords, trust: tuple[str, ...], as_json: bool) -> None:
    """Evaluate a run, or every run of a group of seeds, and show the report."""
    run, overrides = words.run, words.overrides
    if "=" in run:
        run, overrides = "latest", (run, *overrides)
    check_word("--split", words.split, ("train", "val", "test"))
    check_checkpoint(words.checkpoint)
    if not 0 < words.level < 1:
        raise ConfigError.one("--level", words.level, "must lie between 0 and 1", "such as 0.95")
    if words.resamples and words.resamples < _FEWEST:
        rule = f"is too few for an interval; {_FEWEST} or more, or 0 for none"
        raise ConfigError.one("--resamples", words.resamples, rule)
    changes = evaluation_changes(overrides)
    from dlexp.artifacts.run_dir import RunDir, named_run
    from dlexp.artifacts.run_tree import is_group
    from dlexp.config.nodes import trusted_packages
    from dlexp.workflows.seeds import evaluate_group

    folder = named_run(run)
    if not is_group(folder):
        RunDir.find(folder)  # says what is wrong before torch is loaded
    trusted = trusted_packages(trust)
    from dlexp.metrics.bootstrap import Resampling
    from dlexp.workflows.evaluate import evaluate_run

    resampling = Resampling(words.resamples, words.level)

    def one(path: Path) -> dict[str, Any]:
        split, checkpoint = words.split, words.checkpoint
        return evaluate_run(
            path, split, checkpoint, changes, trusted, allow_changes=words.allow_changes, resampling=resampling
        )

    if is_group(folder):
        content = evaluate_group(folder, words.split, one)
        if as_json:
            print_json(content)
        else:
            out.print(over_seeds(f"{folder}, {words.split} split", content))
        return
    content = one(folder)
    if as_json:
        print_json(content)
    else:
        show.evaluation(content)


def check_checkpoint(value: str) -> None:
    """Raise ConfigError for a --checkpoint that is none."""
    check_word("--checkpoint", value, ("best", "last"))


def check_word(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise ConfigError for a word that is not one of a few, with the nearest."""
    if value not in allowed:
        near = nearest(value, allowed)
        remedy = f"did you mean {near}?" if near else ""
        raise ConfigError.one(name, value, f"is not one of {', '.join(allowed)}", remedy)


def config(words: Sequence[str], key: str | None, with_sources: bool, setting: Setting, as_json: bool) -> None:
    """Show the resolved configuration, one key of it, or where everything comes from."""
    from dlexp.config.advice import advice
    from dlexp.config.compose import load
    from dlexp.config.explain import explain, sources
    from dlexp.config.saved import to_yaml

    catalog = Catalog(setting.config_dirs)
    found = load(words, catalog)
    for note in advice(found):
        err.print(f"[yellow]note[/]: {escape(note)}")
    if key is not None:
        facts = explain(key, found, words, catalog)
        if as_json:
            print_json(facts)
        else:
            out.print(table("", ["", ""], [[name, show.plain(value)] for name, value in facts.items()], numbers_from=9))
    elif with_sources:
        rows = sources(found, words, catalog)
        if as_json:
            print_json(rows)
        else:
            out.print(
                table(
                    "",
                    ["key", "value", "from"],
                    [[r["key"], show.plain(r["value"]), r["origin"]] for r in rows],
                    numbers_from=9,
                )
            )
    elif as_json:
        print_json({"choices": dict(found.choices), **found.tree})
    else:
        out.print(escape(to_yaml(found)), end="")


def configuration(
    overrides: tuple[str, ...], from_run: str | None, catalog: Catalog
) -> tuple[RunConfig, tuple[str, ...], Sequence[Change] | None]:
    """(configuration, words that describe it, changes against the run that is repeated)."""
    from dlexp.config.compose import load

    if from_run is None:
        return load(overrides, catalog), overrides, None
    from dlexp.artifacts.run_dir import RunDir, named_run
    from dlexp.config.repeat import repeat
    from dlexp.config.saved import read_overrides

    run = RunDir.find(_winner(named_run(from_run)))
    config, changes = repeat(run.path, overrides, catalog)
    return config, (*read_overrides(run / "overrides.yaml"), *overrides), changes


def _winner(path: Path) -> Path:
    """The best trial of a study, for the study's directory; any other path as it is."""
    from dlexp.artifacts.files import read_json

    if not (path / "study.json").is_file():
        return path
    best = read_json(path / "study.json")["best"]
    if best is None:
        raise ConfigError.one(str(path), "", "is a study in which no trial gave a value")
    return path / str(best["folder"])


def _resume(words: TrainWords, setting: Setting, catalog: Catalog, quiet: bool, as_json: bool) -> None:
    from dlexp.artifacts.run_dir import RunDir, named_run, newest_unfinished
    from dlexp.config.repeat import continued

    run = RunDir.find(named_run(words.resume)) if words.resume else newest_unfinished()
    config, changes = continued(run.path, words.overrides, catalog)
    trusted = trusted_of(setting)
    from dlexp.cli.display import reporter
    from dlexp.workflows.train import resume

    display = reporter(quiet)
    show.changes(changes, display.say)
    show.summary(resume(run, config, trusted, display, allow_changes=words.allow_changes), as_json)


def trusted_of(setting: Setting) -> tuple[str, ...]:
    """The packages that the line and DLEXP_TRUST name."""
    from dlexp.config.nodes import trusted_packages

    return trusted_packages(setting.trust)


def _refuse_contradictions(words: TrainWords) -> None:
    """Options that cannot stand on one line."""
    if words.run_id is not None:
        from dlexp.artifacts.run_dir import refuse_bad_name

        refuse_bad_name("--run-id", words.run_id)
        for name, is_given in (("--resume", words.resume is not None), ("--run-dir", words.run_dir is not None)):
            if is_given:
                rule = f"cannot stand beside {name}: an ID is a directory, and continues the run in it by itself"
                raise ConfigError.one("--run-id", words.run_id, rule, "drop one of the two")
    if words.resume is None:
        if words.allow_changes and words.seeds is None and words.run_id is None and not words.multirun:
            rule = "is for runs that go on, and nothing goes on here"
            raise ConfigError.one("--allow-changes", "", rule, "name the run with --resume, or drop the word")
        return
    given = {
        "--from": words.from_run is not None,
        "--seeds": words.seeds is not None,
        "--multirun": words.multirun,
        "--run-dir": words.run_dir is not None,
        "--dry-run": words.dry_run,
        "init_from": any(word.startswith("init_from=") for word in words.overrides),
    }
    for name in (name for name, is_given in given.items() if is_given):
        rule = f"cannot stand beside {name}: --resume continues a run with its own weights, in its own directory"
        raise ConfigError.one("--resume", words.resume, rule, "drop one of the two")


def evaluation_changes(words: Iterable[str]) -> dict[str, Any]:
    """What may differ from training when a run is used: where and how fast, not what. Raises ConfigError."""
    changes: dict[str, Any] = {}
    for word in words:
        key, _, value = word.partition("=")
        if key not in _EVALUATION_KEYS:
            near = nearest(key, _EVALUATION_KEYS)
            remedy = f"did you mean {near}?" if near else f"it may change {', '.join(_EVALUATION_KEYS)}"
            raise ConfigError.one(key, value, "is fixed by the run that is evaluated", remedy)
        changes[key] = int(value) if value.isdigit() else _BOOLS.get(value.lower(), value)
    return changes
