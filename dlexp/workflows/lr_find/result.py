"""What a learning-rate sweep found, and the files that say so: lr_find.csv, .json, .png and the override."""

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
from dlexp.engine.lr_finder.suggestion import Reading, Verdict, rules_of_others
from dlexp.engine.lr_finder.sweep import Sweep
from dlexp.errors import ConfigError
from dlexp.text.quoting import command
from dlexp.workflows.lr_find.settings import SweepSettings
from dlexp.workflows.pictures import Pictures

EXPERIMENT = "lr_found"  # the option that --apply writes into a configuration folder of the user's own
_MARK = "# Written by dlexp lr-find --apply"


@dataclass(frozen=True)
class FindRequest:
    """What was typed, and where the answer goes.

    apply        whether to write the override down
    config_dirs  the user's own configuration folders; the first gets the override too
    """

    words: tuple[str, ...]
    command: str
    run_dir: Path | None = None
    trusted: tuple[str, ...] = ()
    config_dirs: tuple[Path, ...] = ()
    apply: bool = False


@dataclass(frozen=True)
class Findings:
    """The sweeps of one configuration, a seed each, what each says, and what they say together."""

    settings: SweepSettings
    seeds: tuple[int, ...]
    sweeps: tuple[Sweep, ...]
    readings: tuple[Reading, ...]
    verdict: Verdict
    facts: Mapping[str, Any]

    @property
    def rate(self) -> float | None:
        """The rate to train with, to three digits; None when the confidence is low."""
        return None if self.verdict.reasons else self.steepest

    @property
    def steepest(self) -> float | None:
        """The same, however little it is worth."""
        return None if self.verdict.suggested is None else digits(self.verdict.suggested)


def write_findings(
    folder: Path, config: RunConfig, findings: Findings, content: Mapping[str, Any] | None = None
) -> list[str]:
    """lr_find.csv, lr_find.json and, where it can be drawn, lr_find.png in `folder`."""
    content = content or content_of(findings)
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
        Curve,
        lr_png,
    )

    curves = [
        Curve(f"seed {seed}", [p.rate for p in one.points], [p.loss for p in one.points], reading.smoothed.tolist())
        for seed, one, reading in zip(findings.seeds, findings.sweeps, findings.readings, strict=True)
    ]
    title = f"{config.model.option} on {config.data.option}, {config.optim.option}: confidence {content['confidence']}"
    low, high = content["range"]
    return lr_png(title, curves, content["steepest"], (low, high), content["rules"])


def content_of(findings: Findings) -> dict[str, Any]:
    """lr_find.json."""
    verdict, settings = findings.verdict, findings.settings
    others = [rules_of_others(10**one.x, one.y) for one in findings.sweeps]
    found = {name: [rate for rules in others if (rate := rules[name]) is not None] for name in others[0]}
    rate = findings.steepest
    return {
        "suggestion": findings.rate,
        "confidence": "low" if verdict.reasons else "high",
        "drop_to_noise": round(verdict.confidence, 2),
        "steepest": rate,
        "range": [digits(verdict.low), digits(verdict.high)],
        "interval": [digits(end) for end in verdict.interval],
        "reasons": list(verdict.reasons),
        "advice": _advice(findings),
        "groups": {name: None if rate is None else rate * r for name, r in findings.sweeps[0].groups.items()},
        "rules": {name: float(f"{median(rates):.3g}") if rates else None for name, rates in found.items()},
        "sweeps": [
            {
                "seed": seed,
                "points": len(one.points),
                "stopped": one.reason,
                "steepest": None if reading.suggested is None else digits(reading.suggested),
                "drop_to_noise": round(reading.confidence, 2),
                "skipped": sum(point.skipped for point in one.points),
            }
            for seed, one, reading in zip(findings.seeds, findings.sweeps, findings.readings, strict=True)
        ],
        "settings": asdict(settings),
        **findings.facts,
    }


def why_none(content: Mapping[str, Any]) -> str:
    """Why there is no suggestion, and what to do."""
    advice = f"; {content['advice']}" if content["advice"] else ""
    return f"no learning rate is suggested, because the confidence is low: {'; '.join(content['reasons'])}{advice}"


def _advice(findings: Findings) -> str:
    """Which way to move the range, when it cuts the curve off."""
    edges = [reading.edge for reading in findings.readings]
    edge, settings = max(edges, key=edges.count), findings.settings
    if edge == "bottom":
        return f"the descent begins below the range: --min-lr {settings.min_lr / 100:g}"
    if edge == "top":
        return f"the loss still falls at the top of the range: --max-lr {settings.max_lr * 10:g}"
    if edge == "risen":
        return f"the loss rises without having fallen: --min-lr {settings.min_lr / 100:g}"
    if edge == "flat":
        return f"the loss does not fall in this range: --max-lr {settings.max_lr * 10:g}"
    if edge == "noisy":
        return "the descent drowns in the noise: --loss val has less, as has a larger data.batch_size"
    return ""


def train_line(request: FindRequest, rate: float) -> str:
    """The line that trains with `rate` and is otherwise what was typed."""
    words = [word for word in request.words if word.partition("=")[0] not in ("optim.lr", "optimizer.lr")]
    options = [part for folder in request.config_dirs for part in ("--config-dir", str(folder))]
    options += [part for package in request.trusted for part in ("--trust", package)]
    return command("train", *words, f"optim.lr={rate}", *options)


def apply(run: RunDir, request: FindRequest, rate: float) -> list[str]:
    """Write the override as an experiment; returns the files."""
    words = " ".join(shlex.join(request.words).split()) or "the defaults"  # a comment is one line
    text = f"# @package _global_\n{_MARK}, for {words}\noptim:\n  lr: {rate}\n"
    paths = [run / "override.yaml", *_experiments(request)]
    for path in paths:
        write_text(path, text)
    return [str(path) for path in paths]


def _experiments(request: FindRequest) -> list[Path]:
    return [folder / "experiment" / f"{EXPERIMENT}.yaml" for folder in request.config_dirs[:1]]


def refuse_foreign_experiment(request: FindRequest) -> None:
    """A file of the user's own is never replaced."""
    for path in _experiments(request):
        try:
            is_foreign = is_there(path) and _MARK not in read_text(path, errors="replace")
        except OSError as error:
            raise ConfigError.one("--apply", path, f"cannot be read: {error.strerror}", code="system-error") from error
        if is_foreign:
            raise ConfigError.one(
                "--apply", path, "was not written by lr-find", "rename it, or leave --apply out", code="already-exists"
            )


def digits(exponent: float) -> float:
    """10 to the `exponent`, to three digits."""
    return float(f"{10**exponent:.3g}")
