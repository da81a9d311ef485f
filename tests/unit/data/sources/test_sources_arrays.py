"""Arrays in .npz and .pt files: images and tables, mapped or read, and everything that is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from refusals import refused
from typed_specs import affine_of, values_of

from dlexp.data.bundle import SPLITS, DataBundle
from dlexp.data.columns import tensor_of
from dlexp.data.images import placement
from dlexp.data.sources import array_files
from dlexp.data.sources.array_files import open_arrays
from dlexp.data.sources.arrays import arrays, target_kind
from dlexp.data.streaming import Streamed
from dlexp.errors import DataError
from dlexp.types import as_tensor

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (40, 6, 5, 3), dtype=np.uint8)
LABELS = np.arange(40) % 4


def saved(path: Path, **given: Any) -> str:
    if path.suffix == ".pt":
        torch.save({name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in given.items()}, path)
    else:
        np.savez(path, **given)
    return str(path)


def samples_of(bundle: DataBundle) -> dict[int, tuple[torch.Tensor, Any]]:
    found: dict[int, tuple[torch.Tensor, Any]] = {}
    for split in bundle.splits.values():
        whole = split.select(torch.arange(len(split)))
        columns = tensor_of(whole.inputs), tensor_of(whole.targets).tolist()
        rows = zip(whole.indices.tolist(), *columns, strict=True)
        found |= {row: (image, target) for row, image, target in rows}
    return found


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("suffix", [".npz", ".pt"])
@pytest.mark.parametrize("layout", ["channels_last", "channels_first", "gray"])
def test_images_come_as_they_were_saved(layout: str, suffix: str, keep: bool, tmp_path: Path) -> None:
    wanted = PIXELS.transpose(0, 3, 1, 2) if layout != "gray" else PIXELS[:, None, :, :, 0]
    given = {"channels_last": PIXELS, "channels_first": wanted, "gray": PIXELS[..., 0]}[layout]
    path = saved(tmp_path / f"a{suffix}", x=given, y=LABELS)
    bundle = arrays(path=path, in_memory=keep, workers=0)
    assert bundle.spec.inputs.shape == wanted.shape[1:]
    assert bundle.spec.output_names == ("0", "1", "2", "3")
    assert isinstance(bundle.splits["train"].inputs, Streamed) != keep
    found = samples_of(bundle)
    assert sorted(found) == list(range(40))
    for row, (image, target) in found.items():
        assert np.array_equal(image.numpy(), wanted[row])
        assert target == LABELS[row]
    assert affine_of(bundle.preprocess).scale.shape == wanted.shape[1:]
    assert bundle.preprocessing["white"] == 255


def test_numbers_of_other_types_stay_as_they_are(tmp_path: Path) -> None:
    numbers = RNG.normal(50, 7, (40, 2, 6, 5))
    numbers[:, 1] *= 1e3
    path = saved(tmp_path / "a.npz", x=numbers, y=LABELS)
    for keep in (True, False):
        bundle = arrays(path=path, layout="channels_first", in_memory=keep, workers=0)
        found = samples_of(bundle)
        assert all(np.array_equal(image.numpy(), numbers[row].astype(np.float32)) for row, (image, _) in found.items())
        learned = torch.stack([found[int(row)][0] for row in bundle.splits["train"].indices])
        ready = as_tensor(bundle.preprocess(learned)).double()
        assert ready.mean(dim=(0, 2, 3)).abs().max() < 1e-4
        assert (ready.std(dim=(0, 2, 3), correction=0) - 1).abs().max() < 1e-4
        reference = learned.double()
        assert bundle.preprocessing["mean"] == pytest.approx(reference.mean(dim=(0, 2, 3)).tolist(), rel=1e-9)
        assert bundle.preprocessing["std"] == pytest.approx(
            reference.std(dim=(0, 2, 3), correction=0).tolist(), rel=1e-9
        )
    dark = saved(tmp_path / "b.npz", x=PIXELS[..., 0] > 127, y=LABELS)
    assert set(tensor_of(arrays(path=dark).splits["train"].inputs).unique().tolist()) == {0, 255}


def test_what_decides_the_bits_does_not_depend_on_the_file(tmp_path: Path) -> None:
    plain = saved(tmp_path / "a.npz", x=PIXELS, y=LABELS)
    np.savez_compressed(tmp_path / "b.npz", x=PIXELS, y=LABELS)
    np.savez(tmp_path / "c.npz", y=LABELS, x=np.asfortranarray(PIXELS))
    tensors = saved(tmp_path / "d.pt", x=PIXELS, y=LABELS)
    old = tmp_path / "e.pt"
    torch.save(
        {"x": torch.from_numpy(PIXELS), "y": torch.from_numpy(LABELS)}, old, _use_new_zipfile_serialization=False
    )
    bundles = [
        arrays(path=path) for path in (plain, str(tmp_path / "b.npz"), str(tmp_path / "c.npz"), tensors, str(old))
    ]
    assert len({bundle.fingerprint for bundle in bundles}) == 1
    assert len({bundle.split_hash for bundle in bundles}) == 1
    changed = PIXELS.copy()
    changed[7, 3, 2, 1] += 1
    assert arrays(path=saved(tmp_path / "f.npz", x=changed, y=LABELS)).fingerprint != bundles[0].fingerprint


def test_a_plain_npz_is_mapped_and_not_read(tmp_path: Path) -> None:
    path = Path(saved(tmp_path / "a.npz", x=PIXELS, y=LABELS))
    assert isinstance(open_arrays(path)["x"](), np.memmap)
    np.savez_compressed(path, x=PIXELS)
    assert not isinstance(open_arrays(path)["x"](), np.memmap)


def test_of_a_large_array_spread_parts_are_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = np.arange(4096, dtype=np.uint8).reshape(256, 16)
    whole = array_files.digest([numbers])
    monkeypatch.setattr(array_files, "_PART", 64)
    assert array_files.digest([numbers]) == whole  # the parts make no difference where all are taken
    monkeypatch.setattr(array_files, "_HASHED", 1024)
    spread = array_files.digest([numbers])
    assert spread != whole
    first, between = numbers.copy(), numbers.copy()
    first[0, 0] += 1
    between[5, 0] += 1
    assert array_files.digest([first]) != spread
    assert array_files.digest([between]) == spread


def test_a_file_may_come_divided(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "x_train": PIXELS[:24],
        "y_train": LABELS[:24],
        "x_test": PIXELS[24:],
        "y_test": LABELS[24:],
    }
    bundle = arrays(path=saved(tmp_path / "a.npz", **given), val_fraction=0.5)
    assert bundle.sizes() == {"train": 12, "val": 12, "test": 16}
    assert bundle.splits["test"].indices.tolist() == list(range(24, 40))
    assert tensor_of(bundle.splits["val"].targets).bincount().tolist() == [3] * 4
    assert all(
        np.array_equal(image.permute(1, 2, 0).numpy(), PIXELS[row]) for row, (image, _) in samples_of(bundle).items()
    )
    three = {"x_val": PIXELS[:4], "y_val": LABELS[:4], **given}
    assert arrays(path=saved(tmp_path / "b.pt", **three)).sizes() == {"train": 24, "val": 4, "test": 16}
    only = {"x_train": PIXELS, "y_train": LABELS}
    assert sum(arrays(path=saved(tmp_path / "c.npz", **only)).sizes().values()) == 40
    del given["y_test"]
    with pytest.raises(DataError) as caught:
        arrays(path=saved(tmp_path / "d.npz", **given))
    refused(caught.value, "not-found", "'y_test' (data.target)")


def test_a_table_is_standardized_and_its_gaps_filled(tmp_path: Path) -> None:
    numbers = RNG.normal(5, 3, (40, 3)).astype(np.float32)
    numbers[7, 1] = np.nan
    values = numbers[:, [0, 2]] @ np.array([[1.0, 0.0], [2.0, 1.0]])
    bundle = arrays(path=saved(tmp_path / "a.npz", table=numbers, goal=values), inputs="table", target="goal")
    assert bundle.spec.inputs.kind == "tabular"
    assert bundle.spec.target_kind == "value"
    assert bundle.spec.output_names == ("goal_0", "goal_1")
    train = bundle.splits["train"]
    assert tensor_of(train.inputs).mean(dim=0).abs().max() < 1e-6
    assert np.allclose(tensor_of(train.targets), values[train.indices], rtol=1e-6)
    column = next(c for c in bundle.preprocessing["columns"] if c["name"] == "table_1")
    assert column["fill"] == pytest.approx(np.nanmedian(numbers[train.indices, 1].astype(np.float64)))
    raw = arrays(path=str(tmp_path / "a.npz"), inputs="table", target="goal", standardize=False)
    assert np.array_equal(tensor_of(raw.splits["train"].inputs)[:, 0], numbers[raw.splits["train"].indices, 0])


@pytest.mark.parametrize(
    ("goal", "kind", "names"),
    [
        (LABELS, "class", ("0", "1", "2", "3")),
        (LABELS[:, None], "class", ("0", "1", "2", "3")),
        (LABELS * 10 - 5, "class", ("-5", "5", "15", "25")),
        (np.array(["b", "a"])[LABELS % 2], "class", ("a", "b")),
        (LABELS % 2 == 1, "class", ("False", "True")),
        (LABELS * 0.5, "value", ("y",)),
        (LABELS.astype(np.float32)[:, None], "value", ("y",)),
    ],
)
def test_the_type_of_the_targets_says_what_they_are(
    goal: NDArray[Any], kind: str, names: tuple[str, ...], tmp_path: Path
) -> None:
    path = saved(tmp_path / "a.npz", x=PIXELS, y=goal)
    asked = {"path": path, "inputs": "x", "target": "y", "target_kind": "auto"}
    assert target_kind(asked) == kind
    assert target_kind({**asked, "target_kind": "value"}) == "value"
    bundle = arrays(path=path)
    assert bundle.spec.target_kind == kind
    assert bundle.spec.output_names == names
    flat = np.unique(goal, return_inverse=True)[1].ravel() if kind == "class" else goal.astype(np.float32).ravel()
    for split in bundle.splits.values():
        assert np.array_equal(tensor_of(split.targets).numpy().ravel(), flat[split.indices])


def test_images_may_have_values(tmp_path: Path) -> None:
    values = LABELS * 2.0 + 1
    bundle = arrays(path=saved(tmp_path / "a.npz", x=PIXELS, y=values))
    train = tensor_of(bundle.splits["train"].targets).double()
    assert values_of(bundle.spec).mean == pytest.approx(train.mean(dim=0).tolist())
    assert values_of(bundle.spec).std == pytest.approx(train.std(dim=0, correction=0).tolist())


class Harmful:
    """Creates the file `harmed` when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("harmed"),)


@pytest.mark.parametrize("compressed", [True, False])
def test_nothing_is_unpickled(tmp_path: Path, compressed: bool) -> None:
    hostile = np.empty(40, dtype=object)
    hostile[:] = [Harmful()] * 40
    (np.savez_compressed if compressed else np.savez)(tmp_path / "a.npz", x=hostile, y=LABELS)
    with pytest.raises(DataError) as caught:
        arrays(path=str(tmp_path / "a.npz"))
    refused(caught.value, "untrusted", "'x'")
    torch.save({"x": Harmful(), "y": torch.zeros(3)}, tmp_path / "b.pt")
    with pytest.raises(DataError) as caught:
        arrays(path=str(tmp_path / "b.pt"))
    refused(caught.value, "untrusted", "b.pt", "torch.save")
    assert not Path("harmed").exists()


def test_refusals(tmp_path: Path) -> None:
    def refuses(
        code: str,
        where: str,
        remedy: str = "",
        *,
        file: str = "a.npz",
        settings: dict[str, Any] | None = None,
        **given: Any,
    ) -> None:
        if given:
            saved(tmp_path / file, **given)
        with pytest.raises(DataError) as caught:
            arrays(path=str(tmp_path / file), **(settings or {}))
        assert str(caught.value).startswith(str(tmp_path / file))
        refused(caught.value, code, where, remedy)

    whole: dict[str, Any] = {"x": PIXELS, "y": LABELS}
    saved(tmp_path / "digits.npz", **whole)
    refuses("not-found", "digit.npz", "digits.npz", file="digit.npz")
    (tmp_path / "a.csv").write_text("x")
    refuses("not-supported", "'.csv'", file="a.csv")
    (tmp_path / "no.npz").write_bytes(b"no zip")
    refuses("invalid-data", ".npz", file="no.npz")
    (tmp_path / "no.pt").write_bytes(b"no tensors at all")
    refuses("untrusted", "torch.save", file="no.pt")
    torch.save([torch.zeros(3)], tmp_path / "list.pt")
    refuses("invalid-type", "list", file="list.pt")
    cut = tmp_path / "cut.npz"
    cut.write_bytes((tmp_path / "digits.npz").read_bytes()[:-700])
    refuses("invalid-data", "cut.npz", file="cut.npz")
    refuses("not-found", "'x' (data.inputs)", "images, y", images=PIXELS, y=LABELS)
    refuses("not-found", "'y' (data.target)", "data.target=yy", x=PIXELS, yy=LABELS)
    refuses("invalid-data", "'x' has 40 samples", x=PIXELS, y=LABELS[1:])
    refuses("invalid-data", "'y' 39", x=PIXELS, y=LABELS[1:])
    refuses("invalid-data", "(40, 2, 3, 6, 5)", x=np.zeros((40, 2, 3, 6, 5)), y=LABELS)
    refuses("invalid-data", "array 'x'", x=np.float32(3), y=LABELS)
    refuses("missing-value", "(40, 3, 9, 3)", "data.layout=", x=np.zeros((40, 3, 9, 3)), y=LABELS)
    refuses("invalid-type", "<U1", x=np.full((40, 2, 2), "a"), y=LABELS)
    refuses("invalid-type", "<U1", x=np.full((40, 2), "a"), y=LABELS)
    refuses(
        "invalid-data", "feature 1 of sample 3", x=np.where(np.arange(80) == 7, np.inf, 1.0).reshape(40, 2), y=LABELS
    )
    refuses("invalid-data", "40 classes in 40 samples", "data.target_kind=value", x=PIXELS, y=np.arange(40))
    refuses("invalid-data", "1 classes", x=PIXELS, y=LABELS * 0)
    refuses("invalid-data", "nan for sample 5", x=PIXELS, y=np.where(np.arange(40) == 5, np.nan, LABELS * 0.5))
    refuses(
        "invalid-data", "'y'", "data.target_kind=value", x=PIXELS, y=LABELS * 0.5, settings={"target_kind": "class"}
    )
    refuses("invalid-type", "'y'", x=PIXELS, y=np.full(40, "a"), settings={"target_kind": "value"})
    refuses("invalid-data", "[2.0]", x=PIXELS, y=np.full(40, 2.0))
    parts: dict[str, Any] = {
        "x_train": PIXELS[:20],
        "y_train": LABELS[:20],
        "x_test": PIXELS[20:, :4],
        "y_test": LABELS[20:],
    }
    refuses("invalid-data", f"{PIXELS[20:, :4].shape[1:]} {PIXELS.dtype}", **parts)
    parts |= {"x_test": PIXELS[20:], "y_test": LABELS[20:] + 1}
    with pytest.raises(DataError, match="class '4'"):
        arrays(path=saved(tmp_path / "a.npz", **parts))


def test_numbers_that_are_not_finite_are_named(tmp_path: Path) -> None:
    numbers = RNG.normal(size=(40, 1, 6, 5))
    numbers[[3, 30]] = np.nan
    path = saved(tmp_path / "a.npz", x=numbers, y=LABELS)
    with pytest.raises(DataError) as caught:
        arrays(path=path, in_memory=True)
    refused(caught.value, "invalid-data", "a.npz")
    assert re.findall(r"\n  sample (\d+) ", str(caught.value)) == ["3", "30"]
    with pytest.raises(DataError) as caught:
        samples_of(arrays(path=path, in_memory=False, workers=0, mean=[0.0], std=[1.0]))
    refused(caught.value, "invalid-data", "sample 3")


def test_settings_of_images_are_refused_on_a_table(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npz", x=PIXELS[:, :, 0, 0], y=LABELS)
    assert arrays(path=path).spec.inputs.kind == "tabular"
    for wrong in ({"augment": "crop"}, {"mean": [0.5], "std": [0.5]}):
        with pytest.raises(ValueError, match=r"augment=crop|mean="):
            arrays(path=path, **wrong)


def test_what_does_not_fit_is_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "a.npz", x=PIXELS, y=LABELS)
    monkeypatch.setattr(placement, "available_memory", lambda: 2 * PIXELS.nbytes)
    assert not arrays(path=path).is_streamed
    monkeypatch.setattr(placement, "available_memory", lambda: 2 * PIXELS.nbytes - 1)
    bundle = arrays(path=path, workers=0)
    assert bundle.is_streamed
    assert "more than half of" in bundle.notes[0]
    assert set(bundle.splits) == set(SPLITS)
