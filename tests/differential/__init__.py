"""Parley's backtest against the installed freqtrade, case by case, field by field.

Problem: "the same trades as freqtrade" can only be shown by running both on the same random market, strategy
and configuration, many thousand times, and by comparing everything freqtrade reports. `make fuzz-freqtrade`
does that; `tests/differential/cases` keeps each difference ever found as a small fixed case.

Not here: what Parley's engine means by a trade (`parley.kernels`); freqtrade's meaning is asked of freqtrade
itself, in a process of its own (`worker`).

Invariant: expected values come from the installed freqtrade only. A case that Parley refuses is counted as
refused, never as passed, and the process that runs Parley's side never holds `freqtrade.optimize`.
"""
