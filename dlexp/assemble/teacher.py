"""The teacher of a distillation: the trained network of another run with the same input, read safely."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256 as sha256_of_bytes
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dlexp.artifacts.checkpoints.checkpoint import CheckpointStore, naming
from dlexp.artifacts.files.format_number import refuse_other_run_format
from dlexp.artifacts.files.reading import is_there
from dlexp.artifacts.files.writing import finite_or_none
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.artifacts.runs.run_files import read_run_file
from dlexp.assemble.components import build_loss, build_model, build_task, named_networks
from dlexp.assemble.compression import with_structure
from dlexp.assemble.data_facts import describe_data
from dlexp.config.derive import config_changes
from dlexp.config.saved import load_saved
from dlexp.config.schema.run import OWN_KEYS, RunConfig
from dlexp.data.bundle import DataBundle
from dlexp.engine.state import load_weights, weights_for
from dlexp.errors import ConfigError, Problem
from dlexp.runtime.seed import kept_randomness
from dlexp.runtime.tensors import sha256
from dlexp.specs import DataSpec
from dlexp.tasks.distillation.teacher import Teacher
from dlexp.text.quoting import setting

_KEY = "task.teacher"
_FREE = ("augment", "workers", "in_memory", "download", *OWN_KEYS["data"])  # keys of data that change no input
_NAMED = 4  # keys that a remedy sets


def find_teacher(config: RunConfig, bundle: DataBundle, trusted: Sequence[str]) -> Teacher | None:
    """The teacher that task.teacher names, with its best weights, on the CPU; None for a task without one.

    Args:
        config: The configuration of the student.
        bundle: Its data; of data that are not read, such as those of a replay, nothing is compared.
        trusted: Trusted packages.

    Raises:
        ConfigError: There is no such run, it cannot be a teacher, or its input is prepared in another way.
        DlexpError: Its files are corrupted.
    """
    folder = config.task.arguments.get("teacher")
    if not isinstance(folder, str):
        return None
    try:
        run = RunDir.find(Path(folder))
        refuse_other_run_format(run.path)
        own = load_saved(run / "config.yaml")
        if own.model.arguments.get("pretrained"):  # the weights come from the run, so they need not be downloaded
            own = load_saved(run / "config.yaml", {"model.pretrained": False})
    except ConfigError as error:
        raise ConfigError([_of_teacher(problem, folder) for problem in error.problems]) from error
    kept = read_run_file(run / "preprocessing.json") if is_there(run / "preprocessing.json") else {}
    if "spec" not in kept:
        raise _refused(folder, "was not trained far enough to have weights", "Name a run that has finished.")
    if bundle.fingerprint:
        _check_input(config, own, kept, bundle)
        _check_split(config, own, run, bundle)
    with kept_randomness():  # the student draws the weights that it has without a teacher
        return _restored(own, run, kept, trusted)


def _restored(own: RunConfig, run: RunDir, kept: Mapping[str, Any], trusted: Sequence[str]) -> Teacher:
    spec = DataSpec.from_plain(kept["spec"])
    loss = build_loss(own, spec, trusted, torch.device("cpu"))
    task = build_task(own, spec, loss, trusted)
    networks = named_networks(own, build_model(own, spec, task, trusted), task)
    networks = with_structure(own, networks, task.num_outputs(spec))
    if list(networks) != ["model"]:
        raise _refused(str(run.path), f"has several networks ({', '.join(networks)})", "Name a run with one.")
    state = CheckpointStore(run / "checkpoints", lambda text: None).load_best()
    if state is None:
        raise _refused(str(run.path), "has no best checkpoint", "Name a run that has finished an epoch.")
    weights = weights_for(networks, state)
    with naming(run / "checkpoints" / "best.pt"):
        load_weights(networks, weights)
    network = networks["model"]
    size = sum(parameter.numel() for parameter in network.parameters())
    note = f"the teacher is {run.path} ({own.model.option}, {size:,} parameters)"
    return Teacher(network, task, str(run.path), _fingerprint(own, weights), (note,))


def _fingerprint(own: RunConfig, weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of how a network is built and of its weights."""
    names = sorted(weights)
    built = [own.tree[part] for part in ("model", "compression", "loss")]
    parts = [*built, names, sha256(weights[name] for name in names)]
    return sha256_of_bytes(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _check_input(config: RunConfig, own: RunConfig, kept: Mapping[str, Any], bundle: DataBundle) -> None:
    """Raise ConfigError unless both networks get the same input and put out the same classes or values."""
    ours = finite_or_none(json.loads(json.dumps(describe_data(bundle))))
    given, taken = _of_input(ours), _of_input(kept)
    names = [list((spec["targets"] or {}).get("names", ())) for spec in (ours["spec"], kept["spec"])]
    if names[0] != names[1]:
        rule = f"was trained for {', '.join(map(str, names[1][:10])) or 'other targets'}, "
        rule += f"and the data have {', '.join(map(str, names[0][:10])) or 'others'}"
        raise _refused(str(config.task.arguments["teacher"]), rule, "Name a teacher of these data.")
    if given != taken:
        parts = sorted(key for key in given.keys() | taken.keys() if given.get(key) != taken.get(key))
        rule = f"was trained on inputs that are prepared in another way ({', '.join(parts)})"
        raise _refused(str(config.task.arguments["teacher"]), rule, _same_data(config, own))


def _check_split(config: RunConfig, own: RunConfig, run: RunDir, bundle: DataBundle) -> None:
    """Raise ConfigError for a teacher of another split of these data: it may have seen the student's test samples."""
    meta = read_run_file(run / "meta.json") if is_there(run / "meta.json") else {}
    if meta.get("data_fingerprint") != bundle.fingerprint or meta.get("split_hash") in (None, bundle.split_hash):
        return
    theirs, sizes = meta.get("samples", {}), bundle.sizes()
    # Fewer training samples of the same split are no other split: some may be left out, or memorized in a trial.
    is_smaller = theirs.get("train") != sizes["train"] and all(theirs.get(n) == sizes[n] for n in ("val", "test"))
    if is_smaller and _split_keys(config) == _split_keys(own):
        return
    rule = "was trained on another split of the data, and may have seen what this run is validated and tested with"
    raise _refused(str(config.task.arguments["teacher"]), rule, _same_data(config, own))


def _split_keys(config: RunConfig) -> dict[str, Any]:
    """The keys of data that decide which samples are held out."""
    prefixes = ("split", "val_", "test_", "group", "time")
    return {key: value for key, value in config.tree["data"].items() if key.startswith(prefixes)}


def _same_data(config: RunConfig, own: RunConfig) -> str:
    """The words that give the student the data of its teacher."""
    if config.data.option != own.data.option:
        return f"Use data={own.data.option}, the data of the teacher"
    changes = config_changes({"data": config.tree["data"]}, {"data": own.tree["data"]})
    keys = [each for each in changes if each.path.split(".")[1] not in _FREE and not each.path.startswith("data._")]
    if not keys or len(keys) > _NAMED:
        return "Use the data of the teacher, or train another teacher on these data."
    return f"Set {' '.join(setting(each.path, each.after) for each in keys)}"


def _of_input(values: Mapping[str, Any]) -> dict[str, Any]:
    """What of preprocessing.json decides the input of a network."""
    return {**{key: value for key, value in values.items() if key != "spec"}, "inputs": values["spec"]["inputs"]}


def _of_teacher(problem: Problem, folder: str) -> Problem:
    """A problem of the teacher as one of the key that names it."""
    about = "" if problem.where == folder else f"{problem.where}: "
    gone = problem.rule.startswith("is gone")  # to forget the run, as its remedy says, would not bring the teacher back
    remedy = f"Move it back, or name its new place: {_KEY}=DIRECTORY" if gone else problem.remedy
    return Problem(_KEY, folder, f"{about}{problem.rule}", remedy, code=problem.code)


def _refused(folder: str, rule: str, remedy: str) -> ConfigError:
    return ConfigError.one(_KEY, folder, rule, remedy, code="incompatible-run")
