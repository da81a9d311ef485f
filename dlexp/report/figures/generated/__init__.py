"""Figures of generative models: the samples that they make, reconstructions beside originals, values of samples."""
