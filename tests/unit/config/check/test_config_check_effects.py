"""A key that changes nothing beside the values of others is refused, unless nobody chose its value."""

from __future__ import annotations

from pathlib import Path

import pytest
from outside_package import own_catalog

from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.schema.fields import Field
from dlexp.config.schema.names import COMPONENTS
from dlexp.errors import ConfigError


@pytest.mark.parametrize(
    ("words", "where", "remedy"),
    [
        (
            "model=autoencoder data=digits task.corruption_level=0.5",
            "task.corruption_level",
            "task.corruption=gaussian",
        ),
        (
            "model=autoencoder data=digits task.sparsity=l1 task.sparsity_target=0.1",
            "task.sparsity_target",
            "task.sparsity=kl",
        ),
        ("model=wgan_gp data=ring task.penalty=none task.penalty_weight=1", "task.penalty_weight", "task.penalty=r1"),
        ("model=diffusion data=digits task.snr_limit=4", "task.snr_limit", "task.weighting=min_snr"),
        ("model=diffusion data=digits model.network=mlp model.channels=[8]", "model.channels", "model.network=unet"),
        ("model=vae data=digits model.channels=[8]", "model.channels", "model.layer_kind=convolutional"),
        ("model=gan data=digits model.condition=concatenation", "model.condition", "model.conditional=true"),
        ("model=mlp_dropout data=digits model.norm_place=after", "model.norm_place", "model.norm=batch"),
    ],
)
def test_a_key_without_effect_is_refused_and_each_remedy_works(words: str, where: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(words.split(), Catalog())
    (problem,) = refused.value.problems
    assert (problem.where, problem.code) == (where, "no-effect")
    assert remedy in problem.remedy and f"remove {where}" in problem.remedy
    key = remedy.partition("=")[0]
    kept = [word for word in words.split() if word.partition("=")[0] != key]
    assert load([*kept, remedy], Catalog())
    assert load([word for word in words.split() if not word.startswith(f"{where}=")], Catalog())


def test_all_keys_without_effect_are_named_beside_other_problems() -> None:
    words = ["model=autoencoder", "data=digits", "task.corruption_level=0.5", "task.sparsity_weight=1", "loss=mse"]
    with pytest.raises(ConfigError) as refused:
        load(words, Catalog())
    assert [problem.where for problem in refused.value.problems] == [
        "loss",
        "task.corruption_level",
        "task.sparsity_weight",
    ]


def test_a_value_of_an_option_or_of_a_preference_is_nobodys_mistake(tmp_path: Path) -> None:
    own = """# A model
_target_: dlexp.models.generative.vae.vae
_inputs_: image
_prefers_: {task: reconstruction, task.corruption_level: 0.1}
layer_kind: dense
channels: [4]
hidden: [8]
latent: 2
"""
    catalog = own_catalog(tmp_path, {"model/mine.yaml": own})
    assert load(["model=mine", "data=digits"], catalog).task.arguments["corruption_level"] == 0.1
    with pytest.raises(ConfigError) as refused:
        load(["model=mine", "data=digits", "model.channels=[8]"], catalog)
    assert refused.value.problems[0].where == "model.channels"


def test_what_a_rule_names_is_a_key_beside_it_and_one_of_its_values() -> None:
    catalog, seen = Catalog(), 0
    for group in COMPONENTS:
        fields = catalog.fields(group)
        for key, field in fields.items():
            for other, wanted in field.needs.items():
                seen += 1
                assert other in fields, (key, other)
                assert not any(fields[other].refusal(value) for value in wanted), (key, other)
                together = [o for o in catalog.options(group) if {key, other} <= catalog.keys(group, o).keys()]
                assert together, (key, other)
    assert seen > 10


def test_a_rule_says_what_it_depends_on() -> None:
    field = Field.from_mapping({"type": "int", "needs": {"kind": ["a", "b"], "end": "any"}, "help": "size"})
    assert field.description == "size; without effect where kind is not a or b; without effect where end is null"
    with pytest.raises(TypeError, match="needs"):
        Field.from_mapping({"type": "int", "needs": {"kind": "a"}})
