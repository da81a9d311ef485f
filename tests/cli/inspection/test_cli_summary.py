from __future__ import annotations

import json
import re

import pytest

from dlexp.cli.app import main

TABLES = (
    ("model=mlp",),
    ("model=resnet18", "--depth", "1"),
    ("model=densenet121",),
    ("model=torchvision", "model.name=vit_b_16", "model.resize=224"),
    ("model=ft_transformer", "data=breast_cancer"),
)


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["summary", *words])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_the_numbers_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads(said(capsys, "model=mlp", "model.hidden=[8]", "model.norm=none", "data=iris", "--json"))
    assert content["parameters"] == content["trainable_parameters"] == 4 * 8 + 8 + 8 * 3 + 3
    assert content["multiply_adds"] == 4 * 8 + 8 * 3
    assert content["input_shape"] == [4]
    outputs = (8 + 8 + 3) * 4  # Linear, ReLU, Linear; dropout is asleep
    assert content["memory"] == {
        "weights_bytes": content["parameters"] * 4,
        "outputs_of_a_sample_bytes": outputs,
        "batch_size": 16,
        "outputs_of_a_batch_bytes": outputs * 16,
    }
    assert [layer["kind"] for layer in content["layers"]] == ["Flatten", "Linear", "ReLU", "Dropout", "Linear"]
    assert content["layers"][1]["shape"] == [1, 8]
    assert content["init"].startswith("kaiming_normal (")


@pytest.mark.parametrize("words", TABLES)
def test_the_table_fits_eighty_columns(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, *words).splitlines()
    assert len(lines) > 10
    # Ours stands before the end of a name that is too long, rich's behind what it cuts off.
    assert [line for line in lines if len(line) > 80 or re.search(r"\u2026(\s|$)", line)] == []
