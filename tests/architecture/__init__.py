"""Tests of the shape of the code: imports, loaded modules, sizes, names."""
