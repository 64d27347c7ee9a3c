"""Simulates strategies on recorded candles: drives the kernels of `parley.kernels`, trade for trade as
freqtrade."""
