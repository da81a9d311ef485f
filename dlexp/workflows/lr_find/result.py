"""The results of a learning-rate range test and its files: lr_find.csv, .json, .png and the override."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from dlexp.artifacts.files.reading import is_there, read_text
from dlexp.artifacts.files.writing import write_csv, write_json, write_text
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.config.schema.run import RunConfig
from dlexp.engine.lr_finder.suggestion import RateSuggestion, Reading, rules_of_others
from dlexp.engine.lr_finder.sweep import Sweep
from dlexp.errors import ConfigError
from dlexp.text.quoting import command
from dlexp.workflows.lr_find.settings import SweepSettings
from dlexp.workflows.pictures import Pictures

EXPERIMENT = "lr_found"  # the option that --apply writes to --config-dir
_MARK = "# Written by dlexp lr-find --apply"


@dataclass(frozen=True)
class FindRequest:
    """The command and its outputs.

    Attributes:
        apply: Whether to write the override to a file.
        config_dirs: The user's configuration directories; the override is also written to the first.
    """

    overrides: tuple[str, ...]
    command: str
    run_dir: Path | None = None
    trusted: tuple[str, ...] = ()
    config_dirs: tuple[Path, ...] = ()
    apply: bool = False


@dataclass(frozen=True)
class Findings:
    """The range tests of one configuration, one per seed, with their readings and the combined verdict."""

    settings: SweepSettings
    seeds: tuple[int, ...]
    sweeps: tuple[Sweep, ...]
    readings: tuple[Reading, ...]
    verdict: RateSuggestion
    facts: Mapping[str, Any]

    @property
    def rate(self) -> float | None:
        """The suggested learning rate with three digits; None if the confidence is low."""
        return None if self.verdict.reasons else self.steepest

    @property
    def steepest(self) -> float | None:
        """The learning rate of the steepest descent with three digits, regardless of the confidence."""
        return None if self.verdict.suggested is None else round_rate(self.verdict.suggested)


def write_findings(
    folder: Path, config: RunConfig, findings: Findings, content: Mapping[str, Any] | None = None
) -> list[str]:
    """Write lr_find.csv, lr_find.json and lr_find.png to `folder`; returns the errors of the figure."""
    content = content or lr_find_content(findings)
    groups = findings.sweeps[0].groups
    header = ["seed", "step", *(f"lr_{name}" for name in groups), "loss", "smoothed", "grad_norm", "skipped"]
    rows = [
        [seed, step, *(p.rate * r for r in groups.values()), p.loss, float(smoothed), p.grad_norm, p.skipped]
        for seed, one, reading in zip(findings.seeds, findings.sweeps, findings.readings, strict=True)
        for step, (p, smoothed) in enumerate(zip(one.points, reading.smoothed, strict=True), start=1)
    ]
    write_csv(folder / "lr_find.csv", header, rows)
    pictures = Pictures()
    pictures.write(folder / "lr_find.png", lambda: _drawn(config, findings, content))
    write_json(folder / "lr_find.json", {**content, **pictures.facts()})
    return pictures.undrawn


def _drawn(config: RunConfig, findings: Findings, content: Mapping[str, Any]) -> bytes:
    from dlexp.report.figures.lr_find import (  # here, so that matplotlib loads when there is something to draw
        SweepCurve,
        lr_png,
    )

    curves = [
        SweepCurve(
            f"seed {seed}", [p.rate for p in one.points], [p.loss for p in one.points], reading.smoothed.tolist()
        )
        for seed, one, reading in zip(findings.seeds, findings.sweeps, findings.readings, strict=True)
    ]
    title = f"{config.model.option} on {config.data_name}, {config.optim.option}: confidence {content['confidence']}"
    low, high = content["range"]
    return lr_png(title, curves, content["steepest"], (low, high), content["rules"])


def lr_find_content(findings: Findings) -> dict[str, Any]:
    """The content of lr_find.json."""
    verdict, settings = findings.verdict, findings.settings
    others = [rules_of_others(10**one.x, one.y) for one in findings.sweeps]
    found = {name: [rate for rules in others if (rate := rules[name]) is not None] for name in others[0]}
    rate = findings.steepest
    return {
        "suggestion": findings.rate,
        "confidence": "low" if verdict.reasons else "high",
        "drop_to_noise": round(verdict.confidence, 2),
        "steepest": rate,
        "range": [round_rate(verdict.low), round_rate(verdict.high)],
        "interval": [round_rate(end) for end in verdict.interval],
        "reasons": list(verdict.reasons),
        "advice": _advice(findings),
        "groups": {name: None if rate is None else rate * r for name, r in findings.sweeps[0].groups.items()},
        "rules": {name: float(f"{median(rates):.3g}") if rates else None for name, rates in found.items()},
        "sweeps": [
            {
                "seed": seed,
                "points": len(one.points),
                "stopped": one.reason,
                "steepest": None if reading.suggested is None else round_rate(reading.suggested),
                "drop_to_noise": round(reading.confidence, 2),
                "skipped": sum(point.skipped for point in one.points),
            }
            for seed, one, reading in zip(findings.seeds, findings.sweeps, findings.readings, strict=True)
        ],
        "settings": asdict(settings),
        **findings.facts,
    }


def why_none(content: Mapping[str, Any]) -> str:
    """Why there is no suggestion, and the remedy."""
    advice = f". {content['advice']}" if content["advice"] else ""
    return f"no learning rate suggested, confidence is low: {'; '.join(content['reasons'])}{advice}"


def _advice(findings: Findings) -> str:
    """Advice on the range or the loss, "" without advice."""
    edges = [reading.edge for reading in findings.readings]
    edge, settings = max(edges, key=edges.count), findings.settings
    if edge == "bottom":
        return f"The descent starts below the range. Use --min-lr {settings.min_lr / 100:g}"
    if edge == "top":
        return f"The loss is still falling at the end of the range. Use --max-lr {settings.max_lr * 10:g}"
    if edge == "risen":
        return f"The loss rises without falling first. Use --min-lr {settings.min_lr / 100:g}"
    if edge == "flat":
        return f"The loss does not fall in this range. Use --max-lr {settings.max_lr * 10:g}"
    if edge == "noisy":
        return "The noise is larger than the descent. Use --loss val or a larger data.batch_size"
    if findings.verdict.reasons:
        return f"A longer test averages more of the noise. Use --steps {3 * settings.steps}"
    return ""


def train_line(request: FindRequest, rate: float) -> str:
    """The command that trains with learning rate `rate` and the same overrides."""
    overrides = [override for override in request.overrides if override.partition("=")[0] != "optim.lr"]
    options = [part for folder in request.config_dirs for part in ("--config-dir", str(folder))]
    options += [part for package in request.trusted for part in ("--trust", package)]
    return command("train", *overrides, f"optim.lr={rate}", *options)


def write_override(run: RunDir, request: FindRequest, rate: float) -> list[str]:
    """Write the override as an experiment; returns the files."""
    overrides = " ".join(shlex.join(request.overrides).split()) or "the defaults"  # a comment is one line
    text = f"# @package _global_\n{_MARK}, for {overrides}\noptim:\n  lr: {rate}\n"
    paths = [run / "override.yaml", *_experiments(request)]
    for path in paths:
        write_text(path, text)
    return [str(path) for path in paths]


def _experiments(request: FindRequest) -> list[Path]:
    return [folder / "experiment" / f"{EXPERIMENT}.yaml" for folder in request.config_dirs[:1]]


def refuse_foreign_experiment(request: FindRequest) -> None:
    """Raise ConfigError if --apply would overwrite a file that lr-find did not write."""
    for path in _experiments(request):
        try:
            is_foreign = is_there(path) and _MARK not in read_text(path, errors="replace")
        except OSError as error:
            raise ConfigError.one(
                "--apply", path, f"cannot read the file: {error.strerror}", code="system-error"
            ) from error
        if is_foreign:
            raise ConfigError.one(
                "--apply",
                path,
                "exists and was not written by lr-find",
                "Rename it, or remove --apply.",
                code="already-exists",
            )


def round_rate(exponent: float) -> float:
    """10 to the power of `exponent`, with three digits."""
    return float(f"{10**exponent:.3g}")
