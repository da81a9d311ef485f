"""The section compression.*: in what the network differs from the one that its constructor makes."""

from __future__ import annotations

from dataclasses import dataclass

from dlexp.config.schema.fields import key_field


@dataclass(frozen=True)
class CompressionConfig:
    """Zero weights, low ranks and removed channels; `dlexp compress` writes what it finds."""

    sparsity: float | None = key_field(
        None,
        "float",
        "share of the weights of dense, convolutional and recurrent layers that are zero and stay zero, those of the "
        "smallest magnitude; null: none",
        above=0,
        below=1,
        nullable=True,
    )
    scope: str = key_field(
        "layer",
        "str",
        "where the smallest weights are looked for: in each layer, or global, in all of them together",
        choices=["layer", "global"],
    )
    gradual_epochs: int = key_field(
        0,
        "int",
        "epochs over which the sparsity grows from zero, fast at first; the best epoch is one after them; 0: at once",
        min=0,
    )
    layer_ranks: tuple[str, ...] = key_field(
        (), "list[str]", "layers that two of a smaller rank replace, as LAYER=RANK, such as model.1=12"
    )
    layer_widths: tuple[str, ...] = key_field(
        (),
        "list[str]",
        "layers of another width than the model makes, as LAYER=INPUTSxOUTPUTS, of a normalization LAYER=CHANNELS",
    )
    onnx_bytes: int | None = key_field(
        None,
        "int",
        "size in bytes of the ONNX file that is the network, as dlexp compress --quantize makes it; null: none",
        min=1,
        nullable=True,
    )
