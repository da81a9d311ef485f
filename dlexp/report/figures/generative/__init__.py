"""Figures of generative models: samples beside reconstructions, and what latents carry."""
