"""Kraken spot: REST at /0, WebSocket v2.

Not here: the exchange behind it. Invariant: every answer is in the venue's words.
"""
