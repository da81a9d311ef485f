"""The meaning of training: phases, loss, prediction, metrics, report."""
