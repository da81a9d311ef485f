"""Faults of the data: what is in a file, or how it is read."""

from __future__ import annotations

from benchmarks.doctor.kinds.kind import Case, Kind, Words
from benchmarks.doctor.kinds.networks import CNN, MLP, VIT, images, table

TABLES = ("mlp", "tabular_mlp", "ft_transformer")


def in_images(healthy: str, sick: str) -> tuple[Case, Case, Case]:
    """A file of digits in place of another."""
    first, second, third = (
        Case(name, images(words, healthy), {"data.path": f"@{sick}"})
        for name, words in (("mlp", MLP), ("simple_cnn", CNN), ("vit", VIT))
    )
    return first, second, third


def in_tables(healthy: str, sick: str, words: Words | None = None) -> tuple[Case, Case, Case]:
    """A table in place of another."""
    first, second, third = (
        Case(network, table(network, healthy), {"data.path": f"@{sick}", **(words or {})}) for network in TABLES
    )
    return first, second, third


# Where validation labels are wrong too, no metric of theirs can tell whether a remedy mends; the finding must be gone.
KINDS = (
    Kind(
        "label_noise",
        ("label_noise",),
        "a quarter of all labels is wrong, those of validation too",
        in_images("digits", "digits-noise"),
        "",
    ),
    Kind(
        "label_noise_train",
        ("label_noise",),
        "a quarter of the training labels is wrong",
        in_images("digits", "digits-train-noise"),
        "loss",
    ),
    Kind(
        "label_noise_table",
        ("label_noise",),
        "a quarter of the labels of a table is wrong, those of validation too",
        in_tables("cancer", "cancer-noise"),
        "",
    ),
    Kind(
        "labels_shuffled",
        ("labels_shuffled",),
        "labels in another order than the images",
        in_images("digits", "digits-shuffled"),
    ),
    Kind("labels_shifted", ("labels_shuffled",), "labels one row off", in_images("digits", "digits-shifted")),
    Kind(
        "labels_shuffled_table",
        ("labels_shuffled",),
        "labels in another order than the rows of a table",
        in_tables("cancer", "cancer-shuffled"),
    ),
    Kind(
        "duplicates_images",
        ("duplicates_across_splits",),
        "half of the validation images are copies of training images",
        in_images("digits", "digits-copies"),
        "",
    ),
    Kind(
        "duplicates_rows",
        ("duplicates_across_splits",),
        "half of the validation rows are copies of training rows",
        in_tables("drawn", "drawn-copies"),
        "",
    ),
    Kind(
        "leaking_feature",
        ("leaking_feature",),
        "a column written after the outcome was known",
        in_tables("drawn", "drawn-leak"),
        "",
    ),
    Kind(
        "split_shift",
        ("split_shift",),
        "four columns of val and test in another unit",
        in_tables("drawn", "drawn-shift"),
    ),
    Kind(
        "split_shift_images",
        ("split_shift",),
        "val and test images are inverted",
        in_images("digits", "digits-val-shift"),
    ),
    Kind(
        "sorted_file",
        ("unshuffled_data", "split_shift"),
        "a file in the order of its target, cut as it comes",
        in_tables("values", "values-sorted"),
        "r2",
    ),
    Kind(
        "target_outliers",
        ("targets_not_standardized",),
        "four typing errors make the deviation of the target thousands of times too large",
        in_tables("values", "values-outliers"),
        "mae",
    ),
    Kind(
        "inputs_not_normalized",
        ("inputs_not_normalized",),
        "columns in their own units, from 0.01 to 2,000",
        (
            Case("mlp", {**table("mlp", "wine", 25), "model.norm": "none"}, {"data.standardize": "false"}),
            Case(
                "tabular_mlp", {**table("tabular_mlp", "wine", 25), "model.norm": "none"}, {"data.standardize": "false"}
            ),
            Case("ft_transformer", table("ft_transformer", "wine", 25), {"data.standardize": "false"}),
        ),
        "loss",
    ),
    Kind(
        "class_imbalance",
        ("class_imbalance", "class_collapse"),
        "one row in twenty is of the other class",
        tuple(
            Case(network, {**table(network, "rare", 8), "data.balance": "sampling"}, {"data.balance": "none"})
            for network in TABLES
        ),  # type: ignore[arg-type]
        "balanced_accuracy",
    ),
)
