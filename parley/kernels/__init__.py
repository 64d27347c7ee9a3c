"""Scalar cores of trade simulation: undecorated functions, the only place of their semantics."""
