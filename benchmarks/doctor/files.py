"""The data files of the bench: sets of scikit-learn and drawn tables, as they are or with something planted in them.

A word such as `data.path=@digits-noise` is the file that `FILES["digits-noise"]` makes with the seed of the run.

Symbols: N rows, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine, make_classification

NOISE = 0.25  # share of rows that get another class
SHARES = (0.6, 0.2, 0.2)  # of train, val and test where a file names its splits
NAMES = ("train", "val", "test")
Arrays = Mapping[str, NDArray[Any]]


def path_of(name: str, seed: int, folder: Path) -> Path:
    """The file of a name, written if it is not there yet."""
    made = FILES[name]
    path = folder / f"{name}-{seed}.{'npz' if name.startswith('digits') else 'csv'}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        content = made(np.random.default_rng(seed))  # the same rows as in the healthy file of this seed
        if isinstance(content, pd.DataFrame):
            content.to_csv(path, index=False)
        else:
            np.savez(path, **content)  # type: ignore[arg-type]
    return path


def digits(draw: Generator) -> dict[str, NDArray[Any]]:
    """The digits in random order, 8-bit: x (N, 8, 8), y (N,), part (N,) the names of splits."""
    x, y = load_digits(return_X_y=True)
    order = draw.permutation(len(y))
    pixels = (x.reshape(-1, 8, 8) * 15.9).astype(np.uint8)
    return {"x": pixels[order], "y": y[order].astype(np.int64), "part": parts(len(y), draw)}


def parts(count: int, draw: Generator) -> NDArray[np.str_]:
    """Names of splits, drawn."""
    return draw.choice(NAMES, count, p=SHARES)


def noisy(labels: NDArray[Any], draw: Generator, where: NDArray[np.bool_] | None = None) -> NDArray[Any]:
    """Labels of which a share has become another class, only `where` that is given."""
    classes, changed = np.unique(labels), labels.copy()
    hit = draw.random(len(labels)) < NOISE
    if where is not None:
        hit &= where
    number = np.searchsorted(classes, labels)
    moved = (number + draw.integers(1, len(classes), len(labels))) % len(classes)
    changed[hit] = classes[moved][hit]
    return changed


def digits_noise(draw: Generator) -> Arrays:
    """Wrong classes in every split."""
    made = digits(draw)
    return made | {"y": noisy(made["y"], draw)}


def digits_train_noise(draw: Generator) -> Arrays:
    """Wrong classes in the training split alone."""
    made = digits(draw)
    return made | {"y": noisy(made["y"], draw, made["part"] == "train")}


def digits_shuffled(draw: Generator) -> Arrays:
    """Classes that were put into another order than the images."""
    made = digits(draw)
    return made | {"y": draw.permutation(made["y"])}


def digits_shifted(draw: Generator) -> Arrays:
    """Classes that are one row off, as after a header that was counted."""
    made = digits(draw)
    return made | {"y": np.roll(made["y"], 1)}


def digits_copies(draw: Generator) -> Arrays:
    """Half of the validation images are images of the training split."""
    made = digits(draw)
    train, val = np.flatnonzero(made["part"] == "train"), np.flatnonzero(made["part"] == "val")
    copied, from_ = draw.permutation(val)[: len(val) // 2], draw.permutation(train)[: len(val) // 2]
    for name in ("x", "y"):
        made[name][copied] = made[name][from_]
    return made


def digits_val_shift(draw: Generator) -> Arrays:
    """Validation and test images are inverted, as from another scanner."""
    made = digits(draw)
    other = made["part"] != "train"
    made["x"][other] = 255 - made["x"][other]
    return made


def cancer(draw: Generator) -> pd.DataFrame:
    """Breast cancer, 30 measurements in their own units, with names of splits."""
    return _of_sklearn(load_breast_cancer(), draw)


def wine(draw: Generator) -> pd.DataFrame:
    """Wine, 13 measurements in their own units, with names of splits."""
    return _of_sklearn(load_wine(), draw)


def _of_sklearn(found: Any, draw: Generator) -> pd.DataFrame:
    frame = pd.DataFrame(found.data, columns=[name.replace(" ", "_") for name in found.feature_names])
    frame["target"] = [str(found.target_names[number]) for number in found.target]
    frame = frame.sample(frac=1, random_state=int(draw.integers(2**31))).reset_index(drop=True)
    return frame.assign(part=parts(len(frame), draw))


def drawn(draw: Generator, count: int = 900, weights: list[float] | None = None) -> pd.DataFrame:
    """Two drawn classes that overlap, of 12 features of which 6 tell something; no label is wrong."""
    x, y = make_classification(
        count, 12, n_informative=6, n_redundant=2, n_clusters_per_class=2, weights=weights, flip_y=0.0,
        class_sep=0.8, random_state=int(draw.integers(2**31)),
    )  # fmt: skip
    frame = pd.DataFrame(x, columns=[f"f{number}" for number in range(12)]).round(5)
    return frame.assign(target=np.where(y == 1, "yes", "no"), part=parts(count, draw))


def cancer_noise(draw: Generator) -> pd.DataFrame:
    """Wrong classes in every split."""
    frame = cancer(draw)
    return frame.assign(target=noisy(frame["target"].to_numpy(str), draw))


def cancer_shuffled(draw: Generator) -> pd.DataFrame:
    """Classes in another order than the features."""
    frame = cancer(draw)
    return frame.assign(target=draw.permutation(frame["target"].to_numpy(str)))


def drawn_leak(draw: Generator) -> pd.DataFrame:
    """A column that was written down after the outcome was known."""
    frame = drawn(draw)
    known = (frame["target"] == "yes") * 1.0 + draw.normal(0, 0.15, len(frame))
    return frame.assign(invoice=known.round(4))


def drawn_copies(draw: Generator) -> pd.DataFrame:
    """Half of the validation rows are rows of the training split."""
    frame = drawn(draw)
    train, val = np.flatnonzero(frame["part"] == "train"), np.flatnonzero(frame["part"] == "val")
    copied, from_ = draw.permutation(val)[: len(val) // 2], draw.permutation(train)[: len(val) // 2]
    columns = [name for name in frame.columns if name != "part"]
    frame.loc[copied, columns] = frame.loc[from_, columns].to_numpy()
    return frame


def drawn_shift(draw: Generator) -> pd.DataFrame:
    """Four features of validation and test are measured with another zero and another unit."""
    frame = drawn(draw)
    other = (frame["part"] != "train").to_numpy()
    for name in ("f0", "f3", "f6", "f9"):
        frame.loc[other, name] = frame.loc[other, name] * 1.8 + 2.5 * frame[name].std()
    return frame


def rare(draw: Generator) -> pd.DataFrame:
    """One class of two in twenty rows."""
    return drawn(draw, 1600, [0.95, 0.05])


def values(draw: Generator, count: int = 700) -> pd.DataFrame:
    """A drawn target of eight features, in units of its own, with noise."""
    x = draw.normal(size=(count, 8))
    y = 3 * x[:, 0] + 2 * np.sin(2 * x[:, 1]) + x[:, 2] * x[:, 3] + draw.normal(0, 0.5, count)
    frame = pd.DataFrame(x, columns=[f"f{number}" for number in range(8)]).round(5)
    return frame.assign(target=(40 * y + 300).round(3), part=parts(count, draw))


def values_sorted(draw: Generator) -> pd.DataFrame:
    """Rows in the order of their target, cut into train, val and test as they come."""
    frame = values(draw).sort_values("target", ignore_index=True)
    bounds = (np.cumsum(SHARES)[:2] * len(frame)).astype(int)
    return frame.assign(part=np.repeat(NAMES, np.diff([0, *bounds, len(frame)])))


def values_outliers(draw: Generator) -> pd.DataFrame:
    """Four targets of the training rows are typed without their point: a hundred thousand times too large."""
    frame = values(draw)
    rows = draw.permutation(np.flatnonzero(frame["part"] == "train"))[:4]
    frame.loc[rows, "target"] *= 1e5
    return frame


def noise_values(draw: Generator) -> pd.DataFrame:
    """Few rows, many features, and a target that is mostly noise."""
    x = draw.normal(size=(240, 40))
    y = x[:, 0] + 0.7 * x[:, 1] + draw.normal(0, 1.2, 240)
    frame = pd.DataFrame(x, columns=[f"f{number}" for number in range(40)]).round(5)
    return frame.assign(target=y.round(4), part=parts(240, draw))


def rings(draw: Generator) -> pd.DataFrame:
    """Three rings around each other, in two features and four that say nothing."""
    which, angle = draw.integers(0, 3, 900), draw.uniform(0, 2 * np.pi, 900)
    radius = 1 + which + draw.normal(0, 0.12, 900)
    frame = pd.DataFrame({"x": radius * np.cos(angle), "y": radius * np.sin(angle)}).round(5)
    return frame.assign(target=np.array(["a", "b", "c"])[which], part=parts(900, draw))


def diabetes(draw: Generator) -> pd.DataFrame:
    """Diabetes, with names of splits."""
    found = load_diabetes(scaled=False)
    frame = pd.DataFrame(found.data, columns=found.feature_names).assign(target=found.target)
    return frame.assign(part=parts(len(frame), draw))


FILES: dict[str, Callable[[Generator], pd.DataFrame | Arrays]] = {
    "digits": digits,
    "digits-noise": digits_noise,
    "digits-train-noise": digits_train_noise,
    "digits-shuffled": digits_shuffled,
    "digits-shifted": digits_shifted,
    "digits-copies": digits_copies,
    "digits-val-shift": digits_val_shift,
    "cancer": cancer,
    "cancer-noise": cancer_noise,
    "cancer-shuffled": cancer_shuffled,
    "wine": wine,
    "drawn": drawn,
    "drawn-leak": drawn_leak,
    "drawn-copies": drawn_copies,
    "drawn-shift": drawn_shift,
    "rare": rare,
    "values": values,
    "values-sorted": values_sorted,
    "values-outliers": values_outliers,
    "noise-values": noise_values,
    "rings": rings,
    "diabetes": diabetes,
}
