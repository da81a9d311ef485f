"""Pure functions of a case that give verdicts, one module for each family of faults."""
