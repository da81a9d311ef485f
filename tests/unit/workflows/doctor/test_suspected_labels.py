"""The table and the picture of suspected labels."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from doctor_toys.case_toys import data_of, with_wrong_labels
from PIL import Image

from dlexp.diagnosis.data.label_measures import label_measures
from dlexp.diagnosis.data.labels import SuspectedLabel
from dlexp.workflows.doctor.suspected_labels import write_suspects
from dlexp.workflows.image_samples import images_of
from dlexp.workflows.pictures import Pictures


def suspects_of(data: str, share: float) -> tuple[list[SuspectedLabel], set[int]]:
    bundle, wrong = with_wrong_labels(data_of(f"data={data}"), share, 0)
    found = label_measures(bundle, 0)
    assert found is not None and found.contradictions is not None
    return list(found.contradictions.suspects), wrong


@pytest.mark.pictures
def test_suspects_of_images_are_written_and_drawn(tmp_path: Path) -> None:
    suspects, wrong = suspects_of("digits", 0.05)
    pictures = Pictures()
    bundle = data_of("data=digits")
    assert write_suspects(tmp_path, bundle, suspects, pictures) == ["suspected_labels.csv", "suspected_labels.png"]
    assert pictures.undrawn == []
    rows = list(csv.DictReader((tmp_path / "suspected_labels.csv").read_text().splitlines()))
    assert len(rows) == len(suspects)
    assert list(rows[0]) == ["row", "split", "name", "given", "likelier", "confidence"]
    assert [int(row["row"]) in wrong for row in rows[:20]] == [True] * 20
    confidences = [float(row["confidence"]) for row in rows]
    assert confidences == sorted(confidences, reverse=True)
    with Image.open(tmp_path / "suspected_labels.png") as image:
        assert image.width > 500 and image.height > 500
    assert write_suspects(tmp_path, bundle, [], pictures) == []
    assert list(tmp_path.iterdir()) == []


def test_suspects_of_a_table_have_no_picture(tmp_path: Path) -> None:
    (tmp_path / "suspected_labels.png").write_bytes(b"of an earlier examination")
    suspects, _ = suspects_of("wine", 0.1)
    assert write_suspects(tmp_path, data_of("data=wine"), suspects, Pictures()) == ["suspected_labels.csv"]
    assert not (tmp_path / "suspected_labels.png").exists()
    assert "class_1" in (tmp_path / "suspected_labels.csv").read_text()


def test_images_of_few_levels_are_drawn_as_bright_as_others() -> None:
    bundle = data_of("data=digits")  # levels from 0 to 16
    dark = replace(bundle, preprocessing={**bundle.preprocessing, "white": 255})
    assert images_of(dark, "train", [0, 1, 2]).max() == 1.0
    assert images_of(replace(bundle, preprocessing={"white": 32}), "train", [0, 1, 2]).max() == 0.5
