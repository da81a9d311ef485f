"""The standings of the configurations of a sweep, their files and the answer in a sentence."""
