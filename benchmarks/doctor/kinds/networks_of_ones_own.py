"""Faults of networks that people write themselves: `sick_networks`, each against its healthy twin."""

from __future__ import annotations

from benchmarks.doctor.kinds.kind import At, Case, Kind, Words
from benchmarks.doctor.kinds.networks import own, table

BODIES = ("mlp", "cnn", "attention")


def sick(option: str, words: Words | None = None, healthy: Words | None = None) -> tuple[Case, Case, Case]:
    """A sick network with each of the bodies, on the digits."""
    first, second, third = (
        Case(body, {**own("bench_plain", body), **(healthy or {})}, {"model": option, **(words or {})})
        for body in BODIES
    )
    return first, second, third


def kind(
    name: str,
    codes: tuple[str, ...],
    planted: str,
    cases: tuple[Case, Case, Case],
    metric: str = "accuracy",
    at: At = "best",
) -> Kind:
    """A kind of these."""
    return Kind(name, codes, planted, cases, metric, at)


def own_table(name: str, option: str = "bench_plain") -> Words:
    """A network of one's own on a table."""
    return {key: value for key, value in table(option, name).items() if key != "model.hidden"}


def _deep(gain: str, activation: str, deeper: Words) -> tuple[Case, Case, Case]:
    fault = {"model.gain": gain, "model.activation": activation}
    mlp = {key: value for key, value in own("bench_deep", "mlp").items() if key != "model.body"}
    cnn = {key: value for key, value in own("bench_deep_cnn", "cnn").items() if key != "model.body"}
    tables = own_table("drawn", "bench_deep")
    base = {"model.layers": "10", "model.gain": "1.0"}
    return (
        Case("deep mlp", {**mlp, **base}, fault),
        Case("deep cnn", {**cnn, **base}, fault),
        Case("deep mlp on a table", {**tables, **base, "data.batch_size": "16"}, {**fault, **deeper}),
    )


KINDS = (
    kind(
        "double_softmax",
        ("double_softmax",),
        "softmax in the network and in the loss",
        sick("bench_softmax_end"),
        "loss",
    ),
    kind(
        "sigmoid_end",
        ("loss_output_mismatch",),
        "sigmoid before a loss of logits or of values",
        (
            Case("mlp on values", own_table("values"), {"model": "bench_sigmoid_end"}),
            *sick("bench_sigmoid_end")[1:],
        ),
        "loss",
    ),
    kind("cut_gradient", ("unused_parameters", "frozen_parameters"), "detach() behind the features", sick("bench_cut")),
    kind("unused_layers", ("unused_parameters",), "layers that forward() never calls", sick("bench_skipping"), "loss"),
    kind(
        "not_finite",
        ("not_finite",),
        "a square root in the branch of where() that is not taken, once features have grown",
        sick("bench_root"),
    ),
    kind(
        "dead_units",
        ("dead_units",),
        "biases so negative that most rectifiers answer 0 to all samples",
        sick("bench_dead"),
    ),
    kind(
        "saturated_units",
        ("saturated_units",),
        "tanh units whose weights are twenty times too large at the start",
        (
            *sick("bench_large_weights", healthy={"model.activation": "tanh"})[:2],
            Case(
                "mlp on a table",
                {**own_table("drawn"), "model.activation": "tanh"},
                {"model": "bench_large_weights"},
            ),
        ),
    ),
    kind(
        "bad_initial_loss",
        ("bad_initial_loss",),
        "output weights four hundred times too large at the start",
        sick("bench_large_head"),
        "loss",
    ),
    kind(
        "low_precision",
        ("low_precision",),
        "weights of 8 significant bits",
        sick("bench_half_weights", {"optim.lr": "2e-4"}, {"optim.lr": "2e-4", "trainer.epochs": "40"}),
    ),
    kind(
        "exploding_gradients",
        ("exploding_gradients",),
        "ten layers that each triple what passes",
        _deep("3.0", "relu", {}),
        "loss",
    ),
    kind(
        "vanishing_deep",
        ("vanishing_gradients",),
        "ten layers that each pass a seventh",
        _deep("0.15", "relu", {"model.layers": "20"}),
    ),
)
