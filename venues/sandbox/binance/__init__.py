"""Binance spot: REST, market and user streams, and the WebSocket API, on the sandbox's engine.

Nothing here matches orders or moves money. Nothing of the engine knows this package.
"""
