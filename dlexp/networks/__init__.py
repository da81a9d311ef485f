"""Facts about any `nn.Module`: layers, sizes, arithmetic, recomputation."""
