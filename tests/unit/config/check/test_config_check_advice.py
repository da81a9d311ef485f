"""What is advised, when, and that no default line is advised against."""

from __future__ import annotations

import pytest

from dlexp.assemble.experiment import assemble
from dlexp.config.check.advice import advice, advice_on_classes
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog

CATALOG = Catalog()
TABLES = ("ft_transformer", "neural_ode", "tabular_mlp", "wide_deep")
MODELS = tuple(CATALOG.options("model"))
SEQUENCES = ("data=arrays", "data.path=a.npz", "task=classification")
RECURRENT = ("rnn", "lstm", "gru", "recurrent_cells", "numpy_rnn", "numpy_lstm")
COMPANIONS = {
    **dict.fromkeys(TABLES, ("data=iris",)),
    **dict.fromkeys(("tcn", "text_cnn"), SEQUENCES),
    "transformer_encoder": SEQUENCES,
    "clip": ("data=digit_captions",),
    "canvas": ("data=style_pair",),
    **dict.fromkeys(("edsr", "espcn", "srcnn"), ("data=photos",)),
    "numpy_transformer": SEQUENCES,
    "lstm_autoencoder": ("data=eeg",),
    **dict.fromkeys(("transformer", "transformer_base", "transformer_256"), ("data=reverse",)),
    **dict.fromkeys(("gpt", "gpt2"), ("data=corpus", "data.path=a.txt")),
    **dict.fromkeys(("seq2seq_lstm", "seq2seq_gru"), ("data=reverse", "trainer.clip_norm=5")),
    **dict.fromkeys(RECURRENT, (*SEQUENCES, "trainer.clip_norm=5")),
}
OPTIMS = tuple(CATALOG.options("optim"))


@pytest.mark.parametrize("model", RECURRENT)
def test_a_recurrent_network_is_told_to_clip(model: str) -> None:
    words = [f"model={model}", *SEQUENCES]
    (found,) = advice(load(words, CATALOG))
    assert "trainer.clip_norm=5" in found
    assert list(advice(load([*words, "trainer.gradient_norm=1"], CATALOG))) == []
    clipped = [*words, "trainer.clip_norm=5"]
    (found,) = advice(load([*clipped, "model.layers=1", "model.dropout=0.3"], CATALOG))
    assert found.startswith("model.dropout=0.3 ") and "model.output_dropout" in found
    assert list(advice(load([*clipped, "model.layers=2", "model.dropout=0.3"], CATALOG))) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("model.activation=sigmoid", "model.activation=sigmoid "),
        ("model=lenet5 model.activation=tanh", "model.activation=tanh "),
        ("model=vgg16 model.norm=none", "model.norm=none in 16 layers"),
        ("model=mlp model.norm=none model.hidden=[8,8,8,8,8,8]", "model.norm=none in 6 layers"),
        ("optim.lr=0.05", "optim.lr=0.05 is 25 times"),
        ("optim=lookahead optim.base=adamw optim.lr=0.03", "optim.base=adamw"),
        ("optim=sam optim.base=adamw", "optim.lr=0.05 "),
        ("data=iris data.standardize=false", "data.standardize=false"),
        ("regularization.early_stopping.patience=30", "trainer.epochs=30"),
        ("trainer.monitor=train/loss", "Add trainer.monitor=val/loss"),
        ("scheduler=step scheduler.step_size=30", "scheduler.step_size=30 has no effect with trainer.epochs=30"),
        ("scheduler=multistep scheduler.milestones=[30,40]", "scheduler.milestones="),
        ("scheduler=plateau scheduler.patience=30", "scheduler.patience=30"),
    ],
)
def test_what_is_allowed_and_seldom_wise_is_told(words: str, message: str) -> None:
    found = list(advice(load(words.split(), CATALOG)))
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    "words",
    [
        "model=mlp model.norm=none model.hidden=[8,8,8,8,8]",
        "model=mlp_selu model.hidden=[8,8,8,8,8,8]",
        "optim.lr=0.02",
        "optim.lr=auto",
        "optim=sam optim.lr=0.4",
        "regularization.early_stopping.patience=29",
        "trainer.monitor=val/accuracy",
        "scheduler=step scheduler.step_size=29",
        "scheduler=step scheduler.step_size=100 scheduler.unit=steps",
        "scheduler=multistep scheduler.milestones=[29,40]",
    ],
)
def test_what_is_usual_is_not(words: str) -> None:
    assert list(advice(load(words.split(), CATALOG))) == []


def test_no_default_line_is_advised_against() -> None:
    lines = [(f"model={name}", *COMPANIONS.get(name, ())) for name in MODELS]
    lines += [(f"optim={name}",) for name in OPTIMS]
    lines += [(f"scheduler={name}",) for name in CATALOG.options("scheduler")]
    lines += [(f"regularization={name}",) for name in CATALOG.options("regularization")]
    assert len(lines) == 76 + 23 + 13 + 16
    assert {line: found for line in lines if (found := list(advice(load(line, CATALOG))))} == {}


def test_uneven_classes_are_told_unless_they_are_weighed() -> None:
    names, loss = ("a", "b", "c"), {"class_weights": None}
    (found,) = advice_on_classes((500, 50, 200), names, loss, "none")
    assert "'a' has 500 " in found and "'b' 50" in found and "data.balance=weights" in found
    assert list(advice_on_classes((499, 50, 200), names, loss, "none")) == []
    assert list(advice_on_classes((500, 50, 200), names, {"class_weights": [1, 2, 3]}, "none")) == []
    assert list(advice_on_classes((500, 50, 200), names, loss, "sampling")) == []
    assert list(advice_on_classes((500, 50, 200), names, loss, "weights")) == []
    (other,) = advice_on_classes((500, 50, 200), names, {}, "none")  # a loss without weights
    assert "data.balance=sampling" in other
    assert list(advice_on_classes((), (), loss, "none")) == []
    assert list(advice_on_classes((500, 0, 200), names, loss, "none")) == []


def test_an_experiment_carries_the_advice() -> None:
    experiment = assemble(load(["data=iris", "model.activation=tanh", "trainer.device=cpu"], CATALOG))
    assert len(experiment.notes) == 1
    assert "model.activation=tanh" in experiment.notes[0]
