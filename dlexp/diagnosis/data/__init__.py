"""What is measured of the data of a run, and the labels that look wrong."""
