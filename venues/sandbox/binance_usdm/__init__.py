"""Binance's protocol of USD-M perpetual contracts: `/fapi` over REST, and its streams.

Signatures, parameters, limits and sockets are those of `venues.sandbox.binance`. Not here: margin and
positions (`venues.sandbox.perpetual`).
"""
