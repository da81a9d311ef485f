"""Faults of the settings of a training: words that people type."""

from __future__ import annotations

from benchmarks.doctor.kinds.kind import Case, Kind, Words
from benchmarks.doctor.kinds.networks import BARE_CNN, BARE_MLP, CNN, MLP, VIT, adding, table

SGD: Words = {"optim": "sgd", "optim.lr": "0.05"}


def on_digits(sick: Words, mlp: Words = MLP, cnn: Words = CNN, vit: Words = VIT) -> tuple[Case, Case, Case]:
    """The same words in three networks on the digits."""
    return Case("mlp", mlp, sick), Case("simple_cnn", cnn, sick), Case("vit", vit, sick)


KINDS = (
    Kind(
        "rate_too_high",
        ("rate_too_high",),
        "a learning rate a hundred times and more the default, with AdamW and with SGD",
        (
            Case("mlp", BARE_MLP, {"optim.lr": "0.5"}),
            Case("simple_cnn", BARE_CNN, {"optim.lr": "0.3"}),
            Case("vit", VIT, {"optim.lr": "0.2"}),
        ),
    ),
    Kind(
        "rate_much_too_high",
        ("rate_too_high", "not_finite"),
        "a rate of SGD at which numbers overflow",
        on_digits({**SGD, "optim.lr": "1e6"}, {**BARE_MLP, **SGD}, {**BARE_CNN, **SGD}, {**VIT, **SGD}),
    ),
    Kind(
        "rate_too_low",
        ("rate_too_low",),
        "a learning rate of a five-hundredth of the default",
        on_digits({"optim.lr": "4e-6"}),
    ),
    Kind(
        "frozen_layers",
        ("frozen_parameters",),
        "every layer but the last frozen, with random weights",
        on_digits({"trainer.freeze_layers": "-1"}),
    ),
    Kind(
        "batch_norm_small_batch",
        ("batch_norm_small_batch",),
        "batch normalization with batches of 2",
        (
            Case("mlp", {**MLP, "trainer.epochs": "4"}, {"data.batch_size": "2"}),
            Case("mlp_batch_norm", {**MLP, "model": "mlp_batch_norm", "trainer.epochs": "4"}, {"data.batch_size": "2"}),
            Case("tabular_mlp", table("tabular_mlp", "drawn", 6), {"data.batch_size": "2"}),
        ),
    ),
    Kind(
        "batch_too_large",
        ("batch_too_large",),
        "batches as large as the training split, at the same number of epochs",
        on_digits({"data.batch_size": "1257"}),
    ),
    Kind(
        "stopped_too_soon",
        ("stopped_too_soon",),
        "one epoch",
        on_digits({"trainer.epochs": "1"}),
    ),
    Kind(
        "plateau",
        ("plateau", "rate_too_low"),
        "a schedule that has ended the learning after two of the epochs",
        on_digits({"scheduler": "exponential", "scheduler.gamma": "0.1"}),
    ),
    Kind(
        "underfitting",
        ("underfitting",),
        "a hidden layer of two units",
        (
            Case("mlp", {**MLP, "model.dropout": "0.0"}, {"model.hidden": "[2]"}),
            Case("simple_cnn", {**CNN, "model.dropout": "0.0"}, {"model.channels": "[2]", "model.fc": "2"}),
            Case("vit", VIT, {"model.token": "2", "model.heads": "1", "model.blocks": "1"}),
        ),
    ),
    Kind(
        "overfitting",
        ("overfitting",),
        "a large network without regularization, trained long on few rows that are mostly noise",
        (
            Case(
                "mlp",
                {**table("mlp", "noise-values", 40), "model.hidden": "[8]", "optim.weight_decay": "3.0"},
                {"model.hidden": "[512,512]", "model.norm": "none", "model.dropout": "0.0", "optim.weight_decay": "0"},
            ),
            Case(
                "tabular_mlp",
                {**table("tabular_mlp", "noise-values", 40), "model.hidden": "[8]", "optim.weight_decay": "3.0"},
                {"model.hidden": "[512,512]", "model.norm": "none", "model.dropout": "0.0", "optim.weight_decay": "0"},
            ),
            Case(
                "ft_transformer",
                {**table("ft_transformer", "noise-values", 60), "optim.lr": "4e-3", "optim.weight_decay": "1.0"},
                {
                    "model.token": "32",
                    "model.blocks": "2",
                    "model.dropout": "0.0",
                    "model.attention_dropout": "0.0",
                    "optim.weight_decay": "0",
                },
            ),
        ),
        metric="loss",
        at="last",
    ),
    Kind(
        "class_weights",
        ("class_collapse", "class_imbalance"),
        "a weight of one class that leaves the others none",
        on_digits({"loss.class_weights": "[1,1,1,1000000,1,1,1,1,1,1]"}),
    ),
    Kind(
        "augmentation_too_strong",
        ("augmentation_too_strong",),
        "images of 8 by 8 pixels shifted by up to 5 pixels, flipped, turned by up to 90 degrees, with a part erased",
        on_digits(
            {
                "data.augment": "[{crop: 5}, flip, {rotate: 90}]",
                "regularization.random_erasing": "1.0",
            }
        ),
    ),
    Kind(
        "weight_decay",
        ("regularization_too_strong",),
        "weight decay that leaves no weights",
        on_digits({"optim.weight_decay": "60"}, mlp=BARE_MLP),
    ),
    Kind(
        "penalty",
        ("regularization_too_strong",),
        "an L1 penalty a thousand times the usual one",
        on_digits({"regularization.l1": "0.1"}),
    ),
    Kind(
        "dropout",
        ("regularization_too_strong",),
        "dropout of 0.97",
        (
            Case("mlp", MLP, {"model.dropout": "0.97"}),
            Case("simple_cnn", CNN, {"model.dropout": "0.97"}),
            Case("vit", VIT, {"model.dropout": "0.9"}),
        ),
    ),
    Kind(
        "vanishing_gradients",
        ("vanishing_gradients",),
        "a dozen sigmoid layers without normalization",
        (
            Case("mlp", BARE_MLP, {"model.hidden": f"[{','.join(['64'] * 12)}]", "model.activation": "sigmoid"}),
            Case(
                "block_cnn",
                {
                    **BARE_CNN,
                    "model": "block_cnn",
                    "model.channels": "[8,16]",
                    "model.norm": "batch",
                    "model.convs": "5",
                },
                {"model.norm": "none", "model.activation": "sigmoid"},
            ),
            Case(
                "tabular_mlp",
                {**table("tabular_mlp", "cancer"), "model.norm": "none"},
                {"model.hidden": f"[{','.join(['32'] * 12)}]", "model.activation": "sigmoid"},
            ),
        ),
    ),
    Kind(
        "fading_memory",
        ("fading_memory", "vanishing_gradients"),
        "recurrent units that forget, and a value to remember over dozens of steps",
        (
            Case("rnn", adding("gru", 40), {"model": "rnn"}),
            Case("lstm", {**adding("lstm", 25), "trainer.epochs": "16"}, {"model.forget_bias": "-4.0"}),
            Case("recurrent_cells", {**adding("gru", 40)}, {"model": "recurrent_cells", "model.cell": "rnn"}),
        ),
        metric="r2",
    ),
)
