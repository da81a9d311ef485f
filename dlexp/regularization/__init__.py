"""What acts on weights, gradients and batches against overfitting."""
