"""The simulated venue: a backtest's exchange in the process of the desk, on recorded candles.

Not here: a venue that is spoken to over sockets (`venues.sandbox`); that one matches on its own, so that the
two can be compared.
"""
