"""The files that a run writes when it starts: configuration, command, code, machine and data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dlexp
from dlexp.artifacts.files.format_number import FORMAT, KEY
from dlexp.artifacts.files.reading import is_there
from dlexp.artifacts.files.writing import write_json, write_text
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.artifacts.runs.run_files import read_run_file
from dlexp.assemble.data_facts import describe_data
from dlexp.assemble.experiment import Experiment
from dlexp.config.saved import overrides_to_yaml, to_yaml
from dlexp.data.bundle import DataBundle
from dlexp.models.initialization import described
from dlexp.runtime.machine import git_state, machine_facts, packages, source_hash
from dlexp.specs import ImageSpec
from dlexp.text.time_format import now_utc


def write_request(
    run: RunDir,
    experiment: Experiment,
    overrides: Sequence[str] | None,
    command: Sequence[str] | None,
    changed: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write overrides.yaml, command.txt, meta.json, env.txt, git.diff and config.yaml.

    config.yaml is written last, since it marks the directory as a run: if it exists, so do the others.

    Args:
        run: The run directory.
        experiment: The experiment.
        overrides: The overrides; None to keep the file of a resumed run.
        command: The command; None to keep the file of a resumed run.
        changed: The changes since the run was started, when it is resumed.
    """
    if overrides is not None:
        write_text(run / "overrides.yaml", overrides_to_yaml(list(overrides)))
    if command is not None:
        write_text(run / "command.txt", " ".join(command) + f"\n# in {Path.cwd()}\n")
    code = git_state(Path.cwd())
    write_text(run / "git.diff", code[1])
    write_text(run / "env.txt", "".join(f"{line}\n" for line in packages()))
    write_json(run / "preprocessing.json", preprocessing(experiment))
    old = read_run_file(run / "meta.json") if is_there(run / "meta.json") else {}
    now = now_utc()
    history = {
        "started": old.get("started", now),
        "continued": [*old.get("continued", []), now] if old else [],
        "changed": [*old.get("changed", []), *({"time": now, **change} for change in changed)],
    }
    notes = list(dict.fromkeys((*old.get("notes", []), *experiment.bundle.notes, *experiment.notes)))
    left_out = {"left_out": list(experiment.bundle.left_out), "omitted": dict(experiment.bundle.omitted)}
    notes_and_omissions = {"notes": notes, **left_out}
    write_json(
        run / "meta.json",
        {
            KEY: FORMAT,
            **history,
            **run_environment(experiment, code),
            **notes_and_omissions,
            "config": experiment.config.tree,
        },
    )
    write_text(run / "config.yaml", to_yaml(experiment.config))


def run_environment(experiment: Experiment, code: tuple[Mapping[str, Any] | None, str] | None = None) -> dict[str, Any]:
    """Code, versions, machine and data, as saved in meta.json to detect changes later.

    code  what `git_state` found, None to ask it
    """
    teacher = experiment.teacher
    spec, (commit, _) = experiment.bundle.spec, git_state(Path.cwd()) if code is None else code
    return {
        "dlexp": dlexp.__version__,
        "code": {name: source_hash(name) for name in ("dlexp", *experiment.trusted)},
        "commit": commit["commit"] if commit else None,
        "dirty": commit["dirty"] if commit else None,
        **machine_facts(),
        "settings": experiment.settings.as_dict(),
        "seed": experiment.config.seed,
        "data_fingerprint": experiment.bundle.fingerprint,
        "split_hash": experiment.bundle.split_hash,
        "outputs": list(spec.output_names),
        "interpretation": experiment.interpretation,
        **_augmentation(experiment.bundle),
        **({} if teacher is None else {"teacher": teacher.run, "teacher_fingerprint": teacher.fingerprint}),
        **experiment_facts(experiment),
    }


def _augmentation(bundle: DataBundle) -> dict[str, Any]:
    """How training images are changed, for views of new images; nothing for other inputs."""
    if not isinstance(bundle.spec.inputs, ImageSpec):
        return {}
    words = bundle.augment if isinstance(bundle.augment, str) else list(bundle.augment)
    return {"augmentation": {"words": words, "pad": bundle.pad, "mirrors": bundle.mirrors}}


def preprocessing(experiment: Experiment) -> dict[str, Any]:
    """The content of preprocessing.json: how raw input is preprocessed, and what the network predicts."""
    bundle = experiment.bundle
    return describe_data(bundle)


def experiment_facts(experiment: Experiment) -> dict[str, Any]:
    """Size and settings of an experiment, as plain values."""
    config = experiment.config
    init = described(config.model.arguments)
    return {
        "model": config.model.option,
        "data": config.data_name,
        "task": config.task.option,
        "parameters": experiment.num_parameters,
        "samples": experiment.bundle.sizes(),
        "device": str(experiment.device),
        "precision": experiment.precision.name,
        "precision_reason": experiment.precision.reason,
        **experiment.settings.deciding_bits(),
    } | ({"init": init} if init else {})


def metrics_of(summary: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of a run at its best epoch, and of the test split if it was evaluated."""
    best = {f"val/{name}": value for name, value in (summary["best"] or {}).items()}
    return best | {f"test/{name}": value for name, value in summary.get("test", {}).items()}
