"""Perpetual contracts that settle in one asset: positions, margin, funding and liquidation.

The same matching, book, truth log and hostility as for spot; only what a trade does to money differs
(`settlement`). `brackets`, `positions`, `purses` and `margin` are arithmetic on whole numbers, `clearing`
acts on prices. Not here: how a protocol says it. Invariant: over all purses nothing comes or goes but
deposits.
"""
