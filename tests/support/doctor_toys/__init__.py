"""Made-up runs, data and networks for the tests of the doctor."""
