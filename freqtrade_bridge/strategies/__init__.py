"""Strategies written for freqtrade, which prove that Parley's trades are freqtrade's.

Together they use every callback and every option of freqtrade's interface; `docs/freqtrade.md` says which
uses which. They are loaded by file, by freqtrade and by Parley alike, and import nothing of Parley.

Not here: strategies anybody should trade with. Invariant: small, readable, the same answer for the same
candles.
"""
