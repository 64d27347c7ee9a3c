"""Hyperliquid spot: `/info`, signed actions on `/exchange`, and one socket, on the sandbox's engine.

Nothing here matches orders or moves money. Nothing of the engine knows this package.
"""
