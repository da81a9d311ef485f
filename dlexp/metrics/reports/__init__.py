"""Reports of an evaluation: metrics with intervals, named tables and named figures."""
