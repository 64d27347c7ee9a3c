"""Coinbase Advanced Trade spot: REST, public and private channels of one socket, on the sandbox's engine.

Nothing here matches orders or moves money but for fees (`fees`). Nothing of the engine knows this package.
"""
