"""The options of `dlexp compress`, each with its help, range and completion."""

from __future__ import annotations

from typing import Annotated

import typer

from dlexp.cli import completion

FineTuningOverrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="overrides of the fine-tuning, such as optim.lr=1e-4",
        autocompletion=completion.overrides,
    ),
]
PruneShares = Annotated[
    str | None,
    typer.Option(
        "--prune",
        metavar="SHARE[,SHARE...]",
        help="share of the weights that become zero, or of the channels that go; several make a run each",
    ),
]
PruneScope = Annotated[
    str,
    typer.Option(
        "--scope",
        help="layer: the same share of each layer; global: the smallest of all",
        autocompletion=completion.prune_scopes,
    ),
]
Structured = Annotated[bool, typer.Option("--structured", help="with --prune: remove whole channels and units")]
PruneNorm = Annotated[
    str,
    typer.Option("--norm", help="with --structured: l1 or l2 norm of a channel", autocompletion=completion.prune_norms),
]
Gradual = Annotated[
    bool, typer.Option("--gradual", help="with --prune and --epochs: the sparsity grows over the first half of them")
]
LowRankShare = Annotated[
    float | None,
    typer.Option("--low-rank", metavar="SHARE", help="replace layers by two of a smaller rank, of this share of it"),
]
RankBy = Annotated[
    str,
    typer.Option(
        "--rank-by",
        help="with --low-rank: size, share of the weights; energy, of the squared singular values",
        autocompletion=completion.rank_rules,
    ),
]
QuantizeMode = Annotated[
    str | None,
    typer.Option(
        "--quantize", help="8-bit integers: dynamic, static or int8 (static)", autocompletion=completion.quantize_modes
    ),
]
FineTuningEpochs = Annotated[int, typer.Option("--epochs", min=0, help="epochs of fine-tuning")]
Baseline = Annotated[
    bool,
    typer.Option("--baseline", help="train the compressed structure from random weights too, for as many updates"),
]
CompressSplit = Annotated[
    str,
    typer.Option("--split", help="val or test, on which both networks are measured", autocompletion=completion.splits),
]
CompressMetric = Annotated[str | None, typer.Option("--metric", help="metric of the comparison, as of dlexp compare")]
TimesOnnx = Annotated[bool, typer.Option("--onnx", help="time both networks in onnxruntime too")]
Repeats = Annotated[int, typer.Option("--repeats", min=0, help="timed calls of each network; 0: no times")]
