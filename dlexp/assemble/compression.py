"""The keys compression.*: the structure of the networks, and the rule of their zero weights."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from dlexp.compression.layers import apply_structure
from dlexp.compression.magnitude import Sparsity, prunable_weights
from dlexp.compression.onnx_network import OnnxNetwork
from dlexp.compression.structure import Structure
from dlexp.config.schema.run import RunConfig
from dlexp.engine.zeros import ZeroWeights
from dlexp.errors import ConfigError
from dlexp.optim.traits import OptimizerTraits
from dlexp.runtime.settings import STEP


def structure_of(config: RunConfig) -> Structure:
    """The structure that the configuration asks for."""
    return Structure.parse(config.compression.layer_ranks, config.compression.layer_widths)


def with_structure(config: RunConfig, networks: nn.ModuleDict, num_outputs: int) -> nn.ModuleDict:
    """`networks`, with the layers of compression.layer_ranks and layer_widths, or the ONNX file in their place.

    Args:
        config: The configuration.
        networks: As their constructor makes them.
        num_outputs: Numbers that the task wants for a sample.

    Raises ConfigError.
    """
    if config.compression.onnx_bytes is not None:
        return nn.ModuleDict({"model": OnnxNetwork(config.compression.onnx_bytes, num_outputs)})
    try:
        apply_structure(networks, structure_of(config))
    except ValueError as error:
        rule = f"does not fit model={config.model.option}: {error}"
        remedy = "Restore the model, or set compression.layer_ranks=[] compression.layer_widths=[]"
        raise ConfigError.one("compression", "", rule, remedy, code="incompatible-weights") from error
    return networks


def refuse_onnx(config: RunConfig) -> None:
    """Raise ConfigError for a network that is an ONNX file, which cannot be trained."""
    if (size := config.compression.onnx_bytes) is not None:
        rule = "is the size of an ONNX file of whole numbers, which has no weights that could be trained"
        remedy = "Train the run that it was made of (source in compress.json), and compress it again."
        raise ConfigError.one("compression.onnx_bytes", size, rule, remedy, code="not-supported")


def zero_weights(
    config: RunConfig, networks: nn.ModuleDict, traits: Mapping[str, OptimizerTraits], steps_per_epoch: int
) -> ZeroWeights | None:
    """The rule of zero weights, None without one. Raises ConfigError for what it cannot be combined with."""
    given = config.compression
    if given.sparsity is None:
        return None

    def refusal(rule: str, remedy: str) -> ConfigError:
        return ConfigError.one("compression.sparsity", given.sparsity, rule, remedy, code="cannot-combine")

    option = config.optim.option
    if not prunable_weights(networks.values()):
        rule = "requires trained dense, convolutional or recurrent layers"
        raise ConfigError.one(
            "compression.sparsity", given.sparsity, rule, "Set compression.sparsity=null", code="not-supported"
        )
    if config.trainer.compile == STEP:
        raise refusal("cannot be part of the graph of trainer.compile=step", "Set trainer.compile=false")
    if any(has.has_line_search for has in traits.values()):
        raise refusal(
            f"cannot be combined with optim={option}: it changes what its line search finds", "Set optim=adamw"
        )
    if given.gradual_epochs and any(has.keeps_average for has in traits.values()):
        rule = f"cannot grow with optim={option}, whose average of weights is not zero where they become zero"
        raise refusal(rule, "Set compression.gradual_epochs=0, or use another optimizer.")
    updates = max(0, given.gradual_epochs * steps_per_epoch - 1)
    return ZeroWeights(Sparsity(given.sparsity, given.scope, updates))
