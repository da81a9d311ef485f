"""Unlabeled samples for `dlexp predict`."""
