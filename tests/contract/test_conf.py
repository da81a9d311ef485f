"""Every option under conf/ keeps one contract, and the count says that none was missed."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import yaml

from dlexp.assemble.components import RUNTIME_NAMES
from dlexp.config.check.validate import rules
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog, builtin_root
from dlexp.config.nodes import resolve
from dlexp.config.schema.names import COMPONENTS, GROUPS, SEARCH
from dlexp.config.schema.run import OWN_KEYS, SECTIONS, section_fields
from dlexp.config.search import load_search
from dlexp.errors import ConfigError

CATALOG = Catalog(
    (),
)
SEEN = {
    "compression": 2, "data": 54, "experiment": 34, "logger": 4, "loss": 20, "model": 76,
    "optim": 23, "regularization": 16, "scheduler": 13, "task": 20, "trainer": 2,
}  # fmt: skip
ALL = [(group, option) for group in GROUPS for option in CATALOG.options(group)]
SEQUENCE_MODELS = tuple(
    name
    for name, option in CATALOG.options("model").items()
    if any(f"_inputs_: {kinds}" in option.path.read_text() for kinds in ("[tokens, series]", "tokens"))
)
# A model that says what targets it is for -> data that have them.
_WITH_TARGETS = {"tokens": "reverse", "next_tokens": "topics", "captions": "digit_captions", "image": "photos"}
OF_TARGETS = {
    name: data
    for name, option in CATALOG.options("model").items()
    for kind, data in _WITH_TARGETS.items()
    if f"\n_targets_: {kind}\n" in option.path.read_text()
}
# What an option needs so that it can be composed at all.
COMPANIONS = {
    "data=image_folder": ["data.path=a"],
    "data=arrays": ["data.path=a.npz", "task=classification"],
    "data=captions": ["data.path=a.csv"],
    "data=text_dataframe": ["data.target=b", "task=classification"],
    "data=dataframe": ["data.target=b", "task=classification"],
    "data=ndarrays": ["task=classification"],
    "data=parquet": ["data.path=a.parquet", "data.target=b", "task=classification"],
    "data=imagenet": ["data.path=a"],
    "data=csv": ["data.path=a.csv", "data.target=b", "task=classification"],
    "data=series": ["data.path=a.csv", "data.target=b"],
    "data=series_classes": ["data.path=a.ts", "task=classification"],
    "data=text": ["data.path=a.csv", "data.target=b", "task=classification"],
    "data=corpus": ["data.path=a.txt"],
    "data=pairs": ["data.path=a.tsv"],
    "data=tagged": ["data.path=a.txt"],
    "data=super_resolution": ["data.path=a"],
    "task=regression": ["data=diabetes"],
    "task=distillation": ["task.teacher=a"],
    "task=regression_distillation": ["task.teacher=a", "data=diabetes"],
    "task=forecasting": ["data=nile"],
    "task=seq2seq": ["data=reverse"],
    "task=ctc": ["data=tones"],
    "task=contrastive": ["data=digit_captions", "model=clip"],
    "task=super_resolution": ["data=photos"],
    "task=adversarial_super_resolution": ["data=photos"],
    "task=style_transfer": ["data=style_pair"],
    "task=tagging": ["data=entities"],
    "task=language_model": ["data=topics"],
    **{
        f"loss={name}": ["data=diabetes"]
        for name in ("huber", "mae", "mse", "mse_mae", "poisson", "quantile", "smooth_l1")
    },
    **{f"loss={name}": ["task=metric_learning"] for name in ("arcface", "contrastive", "triplet")},
    **{f"model={name}": ["data=arrays", "data.path=a.npz", "task=classification"] for name in SEQUENCE_MODELS},
    **{f"model={name}": [f"data={data}"] for name, data in OF_TARGETS.items()},
    "model=lstm_autoencoder": ["data=eeg"],
    **{f"model={name}": ["data=iris"] for name in ("ft_transformer", "neural_ode", "tabular_mlp", "wide_deep")},
}


def own_file(group: str, option: str) -> dict[str, Any]:
    found = yaml.safe_load(CATALOG.options(group)[option].path.read_text(encoding="utf-8"))
    return found or {}


def words_for(group: str, option: str) -> list[str]:
    return [f"{group}={option}", *COMPANIONS.get(f"{group}={option}", [])]


def test_every_option_was_seen() -> None:
    assert {group: len(CATALOG.options(group)) for group in GROUPS} == SEEN
    on_disk = [p for p in builtin_root().rglob("*.yaml") if not p.name.startswith("_") and p.parent != builtin_root()]
    searches = CATALOG.options(SEARCH)
    assert len(searches) == 3
    assert len(ALL) + len(searches) == len(on_disk)


@pytest.mark.parametrize("option", CATALOG.options(SEARCH))
def test_every_search_composes_and_is_described(option: str) -> None:
    assert len(CATALOG.options(SEARCH)[option].description) >= 10
    search = load_search([f"search={option}"], CATALOG)
    assert len(search.bases) == 3  # one for each optimizer
    assert len(search.space.dimensions) >= 7


def has_a_description(group: str, option: str) -> None:
    assert len(CATALOG.options(group)[option].description) >= 10


def composes(group: str, option: str) -> None:
    assert load(words_for(group, option), CATALOG).choices[group] == option


def has_the_arguments_of_its_target_as_keys(group: str, option: str) -> None:
    target = own_file(group, option)["_target_"]
    keys = set(CATALOG.keys(group, option)) - set(OWN_KEYS.get(group, ()))
    signature = inspect.signature(resolve(target, ())).parameters.values()
    named = {p.name for p in signature if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    parameters = named - set(RUNTIME_NAMES[group])
    if target.startswith("torch."):
        assert keys <= parameters
        assert keys
    else:
        assert keys == parameters


def has_a_rule_with_help_for_each_key(group: str, option: str) -> None:
    fields = CATALOG.fields(group)
    assert [key for key in CATALOG.keys(group, option) if key not in fields or len(fields[key].help) < 10] == []


@pytest.mark.parametrize("group", COMPONENTS)
def test_rule_belongs_to_a_key_of_some_option(group: str) -> None:
    keys = {key for option in CATALOG.options(group) for key in CATALOG.keys(group, option)}
    assert set(CATALOG.fields(group)) == keys


@pytest.mark.parametrize("option", CATALOG.options("task"))
def test_metrics_of_a_task_are_those_of_its_class(option: str) -> None:
    values = own_file("task", option)
    task: Any = resolve(values["_target_"], ())
    assert values["_metrics_"] == dict(task.metrics)
    assert values.get("_extra_metrics_", {}) == dict(task.extra_metrics)
    assert not set(task.metrics) & set(task.extra_metrics)


def refuses_nan_for_every_number(group: str, option: str) -> None:
    config = load(words_for(group, option), CATALOG)
    known = rules(config.choices, CATALOG)
    numbers = [
        path
        for path, field in known.items()
        if path.startswith(f"{group}.") and any(kind in field.type for kind in ("int", "float"))
    ]
    here = CATALOG.keys(group, option) if group in COMPONENTS else section_fields(SECTIONS[group], group)
    numbers = [path for path in numbers if path in here or path.removeprefix(f"{group}.") in here]
    words = [f"{path}={'[nan]' if known[path].type.startswith('list') else 'nan'}" for path in numbers]
    if words:
        with pytest.raises(ConfigError) as caught:
            load([*words_for(group, option), *words], CATALOG)
        assert {problem.where for problem in caught.value.problems} == set(numbers)


OF_ALL = (has_a_description, composes)
OF_COMPONENTS = (has_the_arguments_of_its_target_as_keys, has_a_rule_with_help_for_each_key)


@pytest.mark.parametrize(("group", "option"), ALL)
def test_option_keeps_its_contract(group: str, option: str) -> None:
    if (group, option) == ("loss", "none"):  # no task of dlexp does without a loss: test_outside_command_line.py
        return
    parts = [*OF_ALL, *(OF_COMPONENTS if group in COMPONENTS else ())]
    parts += [refuses_nan_for_every_number] if group != "experiment" else []
    broken = []
    for part in parts:
        try:
            part(group, option)
        except Exception as error:  # all that is wrong with an option is told at once
            broken.append(f"{part.__name__}: {type(error).__name__}: {error}")
    assert not broken, "\n".join(broken)
