"""Several networks as one: how their outputs are combined, how their weights are chosen, how they differ."""
