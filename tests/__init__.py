"""The proof: one folder per kind of test, helpers in `tests.kit`."""
