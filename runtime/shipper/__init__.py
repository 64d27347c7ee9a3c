"""The shipper: a process that copies journals into the read model, each record exactly once.

`follow` knows where in a journal it stands, `project` turns messages into rows, `write` puts rows and cursor
into one transaction, `ship` is the loop that survives a database that goes away, `status` tells how far
behind it is. Started as ``python -m runtime.shipper --config FILE``.

Invariant: nothing a desk does waits for this process; what it has written is a pure function of the journals.
"""
