"""Several networks as one, and several views of one sample: `dlexp evaluate --ensemble`, `--soup` and `--tta`."""
