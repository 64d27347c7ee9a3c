"""What a venue does to its clients at its worst, switched on by the configuration; off, nothing differs.

Problem: a platform that was only ever answered in time, in order and once has proved nothing about money.

Each module is one way in which a venue is met: `requests` for orders and cancels, `lists` that lag and come
in short pages, `events` that get lost or come twice or in another order on the way to their listeners, a
`door` that is shut for a while, `plans` of what is to happen to the market. `settings` are the switches,
`parts` puts together what was switched on, `notes` writes all of it to the truth log.

Not here: matching and money (`exchange`), and what a protocol says of it all. Invariant: what happens depends
on the seed and the name of what it happens to, and is written to the truth log before a client can notice.
"""
