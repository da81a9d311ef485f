"""Explanations of what a network puts out: attributions shaped like its inputs, and checks of whether to believe them."""
