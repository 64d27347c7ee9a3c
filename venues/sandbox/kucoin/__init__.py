"""KuCoin spot with its high-frequency orders: REST, public and private streams, on the sandbox's engine.

Nothing here matches orders or moves money. Nothing of the engine knows this package.
"""
