"""Explanations of what a network puts out, shaped like its inputs, and checks of whether to believe them."""
