"""Recurrent networks that turn one sequence into another: encoder, attention, decoder."""
