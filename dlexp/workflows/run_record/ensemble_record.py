"""ensemble.json: the networks of an ensemble, their weights, and the temperature of their mean."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.format_number import FORMAT, KEY
from dlexp.artifacts.files.writing import write_json
from dlexp.artifacts.runs.run_files import read_run_file
from dlexp.artifacts.runs.run_tree import ENSEMBLE_MARK, is_ensemble, is_group, members
from dlexp.errors import ConfigError, DlexpError, Problem
from dlexp.metrics.ensembles.combination import Combination, OutputMeaning, unit_sum
from dlexp.text.time_format import now_utc

SNAPSHOTS = "snapshots"  # folder of a run
SNAPSHOT_NAME = "epoch_"  # begins the name of a checkpoint that is a snapshot


def snapshot_epochs(run: Path) -> dict[int, Path]:
    """Epoch -> file, in order, of the snapshots of a run."""
    found = {path: path.stem.removeprefix(SNAPSHOT_NAME) for path in (run / SNAPSHOTS).glob(f"{SNAPSHOT_NAME}*.pt")}
    numbered = {int(number): path for path, number in found.items() if number.isdecimal()}
    return dict(sorted(numbered.items()))


@dataclass(frozen=True)
class EnsembleMember:
    """One network of an ensemble.

    Attributes:
        run: The directory of its run.
        checkpoint: best, last, or a snapshot such as epoch_0010.
        label: Its name in tables.
    """

    run: Path
    checkpoint: str = "best"
    label: str = ""


@dataclass(frozen=True)
class EnsembleRecord:
    """The content of ensemble.json.

    Attributes:
        members: The networks, those of weight 0 too.
        chosen: How weights were chosen: equal, greedy or stacked.
        how: Weights and vote; its temperature is 1 unless the ensemble is calibrated.
        meaning: Of the members' outputs.
        temperature: Of the smallest validation log loss of the mean; None where there are no probabilities.
        temperatures: The same of each member alone.
        val: Metrics of each member on the validation split.
        outputs: Names of classes or targets.
        val_samples: Samples of the validation split.
    """

    members: tuple[EnsembleMember, ...]
    chosen: str
    how: Combination
    meaning: OutputMeaning
    temperature: float | None
    temperatures: tuple[float | None, ...]
    val: tuple[Mapping[str, float | None], ...]
    outputs: tuple[str, ...]
    val_samples: int

    @property
    def is_calibrated(self) -> bool:
        """Whether predictions use the temperature."""
        return self.how.temperature != 1

    def write(self, folder: Path) -> None:
        """Write ensemble.json; runs are named relative to `folder`, so that both can be moved together."""
        rows = zip(self.members, self.how.weights, self.temperatures, self.val, strict=True)
        content = {
            KEY: FORMAT,
            "members": [
                {
                    "run": os.path.relpath(member.run.resolve(), folder.resolve()),
                    "checkpoint": member.checkpoint,
                    "label": member.label,
                    "weight": weight,
                    "temperature": temperature,
                    "val": dict(val),
                }
                for member, weight, temperature, val in rows
            ],
            "weights": self.chosen,
            "vote": self.how.is_vote,
            "calibrated": self.is_calibrated,
            "temperature": self.temperature,
            "meaning": self.meaning,
            "outputs": list(self.outputs),
            "val_samples": self.val_samples,
            "made": now_utc(),
        }
        write_json(folder / ENSEMBLE_MARK, content)


def read_ensemble(folder: Path) -> EnsembleRecord:
    """The ensemble in `folder`. Raises DlexpError for a file that cannot be read, and for a run that is gone."""
    path = folder / ENSEMBLE_MARK
    found = read_run_file(path)
    rows: Sequence[Mapping[str, Any]] = found["members"]
    places = [folder / row["run"] for row in rows]
    gone = [str(place) for place in places if not (place / "config.yaml").is_file()]
    if gone:
        what = f"{path} names runs that are gone: {', '.join(gone)}. Restore them, or make the ensemble again."
        raise DlexpError(what, code="not-found")
    if not rows or found["meaning"] not in ("probabilities", "scores", "values"):
        raise DlexpError(f"{path} cannot be read: not an ensemble. Make it again.", code="corrupted")
    try:
        weights = unit_sum([row["weight"] for row in rows])
    except ValueError as error:
        raise DlexpError(f"{path} cannot be read: {error}", code="corrupted") from error
    meaning: OutputMeaning = found["meaning"]
    temperature = found.get("temperature")
    used = float(temperature) if found["calibrated"] and temperature else 1.0
    return EnsembleRecord(
        tuple(
            EnsembleMember(_short(place), row["checkpoint"], row["label"])
            for place, row in zip(places, rows, strict=True)
        ),
        found["weights"],
        Combination(weights, found["vote"], used),
        meaning,
        temperature,
        tuple(row.get("temperature") for row in rows),
        tuple(row.get("val", {}) for row in rows),
        tuple(found.get("outputs", ())),
        int(found.get("val_samples", 0)),
    )


def refuse_checkpoint(checkpoint: str) -> None:
    """Raise ConfigError for a checkpoint that is named for an ensemble, which has those it was made with."""
    if checkpoint != "best":
        rule = "has no effect: an ensemble has the checkpoints that it was made with"
        raise ConfigError.one(
            "--checkpoint", checkpoint, rule, "Remove it, or make another ensemble.", code="no-effect"
        )


def refuse_twice(found: Sequence[EnsembleMember]) -> None:
    """Raise ConfigError for every network that is named twice."""
    seen: set[tuple[Path, str]] = set()
    problems = []
    for member in found:
        place = member.run.resolve(), member.checkpoint
        if place in seen:
            rule = "is named twice: weights are chosen, not typed"
            remedy = "Name it once. dlexp evaluate --ensemble --weights greedy lets members count more than once."
            problems.append(Problem(str(member.run), "", rule, remedy, code="invalid-value"))
        seen.add(place)
    if problems:
        raise ConfigError(problems)


def used_members(folder: Path, checkpoint: str) -> tuple[list[EnsembleMember], Combination | None]:
    """The networks whose mean `folder` stands for, and how they are combined; None for a single run.

    A group of seeds has equal weights. Of an ensemble, members of weight 0 are left out.
    """
    if is_ensemble(folder):
        refuse_checkpoint(checkpoint)
        record = read_ensemble(folder)
        kept = [number for number, weight in enumerate(record.how.weights) if weight > 0]
        weights = unit_sum([record.how.weights[number] for number in kept])
        how = Combination(weights, record.how.is_vote, record.how.temperature)
        return [record.members[number] for number in kept], how
    if is_group(folder):
        runs = members(folder.resolve() if folder.is_symlink() else folder)
        return [EnsembleMember(run, checkpoint, run.name) for run in runs], Combination.equal(len(runs))
    return [EnsembleMember(folder, checkpoint, folder.name)], None


def _short(path: Path) -> Path:
    """The path without `..`, relative to the current folder where it is below it."""
    whole = path.resolve()
    here = Path.cwd()
    return whole.relative_to(here) if whole.is_relative_to(here) else whole
