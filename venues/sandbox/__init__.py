"""The sandbox exchange: a process of its own that speaks a real venue's REST and WebSocket.

It exists so that the real client classes, their signatures, parsers and reconnects are tested
against a venue whose truth is known. It shares no code with the platform: a matching error here
and a ledger error there cannot cancel each other. Nothing in this package imports `parley`.
"""
