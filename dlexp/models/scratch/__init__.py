"""Networks that compute in NumPy, made to be trained like any other."""
