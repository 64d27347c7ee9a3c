"""The kernel: everything two agents must agree on, pure and free of input and output."""
