"""Initial weights of transformers, as published.

Symbols: D size of a token, N layers.
"""

from __future__ import annotations

from math import prod, sqrt

from torch import nn
from torch.nn import init

from dlexp.models.transformer.attention import CrossAttention, SelfAttention
from dlexp.models.transformer.layers import FeedForward


def initialize_as_published_first(network: nn.Module, scale_of_tokens: float) -> None:
    """Xavier's for each matrix, biases 0 (Vaswani et al. 2017); embeddings N(0, 1 / scale^2).

    Queries, keys and values have a matrix each, though they are stored together.

    Args:
        network: Changed.
        scale_of_tokens: What embeddings are multiplied by in the network.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, 0.0, 1 / scale_of_tokens)
    for module in network.modules():
        if isinstance(module, SelfAttention):
            sizes = [module.heads, module.kv_heads, module.kv_heads]
            joined = module.queries_keys_values.weight.data
        elif isinstance(module, CrossAttention):
            sizes, joined = [module.kv_heads, module.kv_heads], module.keys_values.weight.data
        else:
            continue
        for part in joined.split([n * module.head_size for n in sizes]):
            init.xavier_uniform_(part)


def initialize_as_gpt(network: nn.Module, layers: int) -> None:
    """N(0, 0.02^2), biases 0; what is added to the residual stream is 1 / sqrt(2 N) of it (Radford et al. 2019)."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            init.normal_(module.weight, 0.0, 0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            init.zeros_(module.bias)
    for module in network.modules():
        added = {SelfAttention: "out", FeedForward: "contract"}.get(type(module))
        if added:
            init.normal_(getattr(module, added).weight, 0.0, 0.02 / sqrt(2 * layers))


def initialize_as_vit(network: nn.Module) -> None:
    """As the authors of vision transformers: Xavier's for matrices, LeCun's for patches, biases 0.

    Positions are N(0, 0.5^2), not N(0, 0.02^2): patches have variance 1, and beside them small positions are learned
    late, so that the network sees a bag of patches for the first epochs (docs/guides/transformers.md has figures).
    """
    initialize_as_published_first(network, 2.0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            deviation = (module.in_channels * prod(module.kernel_size)) ** -0.5
            init.trunc_normal_(module.weight, 0.0, deviation, -2 * deviation, 2 * deviation)
            assert module.bias is not None
            init.zeros_(module.bias)
