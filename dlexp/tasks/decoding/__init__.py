"""Generation: one token after another from a stepwise network, greedily, by beams or by chance."""
