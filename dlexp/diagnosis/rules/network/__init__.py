"""Rules of what a network is made of: units, outputs, parameters, normalization and memory."""
