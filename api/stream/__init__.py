"""The WebSocket `parley.v1`: events are read from the journal's copy in the database, in its order.

`events` turns records into events, `broker` reads each new record once for all connections, `connection` is
one client. Invariant: the offset of an event is its record's place in the journal, so a client that was away
asks for what follows its last offset, whoever serves it then.
"""
