"""The machine: device, precision, seeds, memory, signals, processes."""
