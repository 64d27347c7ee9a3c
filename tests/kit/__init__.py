"""What several suites share: builders, data, fakes."""
