"""What is wrong with the samples: their scale and order, their labels, their splits."""
