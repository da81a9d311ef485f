"""What is measured of a network, its updates, its outputs and its history."""
