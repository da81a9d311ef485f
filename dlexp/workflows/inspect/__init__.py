"""The command `dlexp inspect`: what a trained network holds and computes, as figures."""
