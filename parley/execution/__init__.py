"""Execution algorithms as arithmetic: styles, slices, quotes, brackets, routes, and what they cost."""
