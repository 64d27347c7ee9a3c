"""The HTTP and WebSocket edge: what people and programs read of a firm, over one read model.

`app` is the factory, `__main__` the process, `routers` the resources, `schemas` their wire types, `queries`
their SQL, `stream` the WebSocket. Conventions are those of docs/api.md.

Not here: anything that decides or trades. Nothing of the desk imports this package.

Invariant: everything it answers comes from the read model in PostgreSQL, read in a transaction that can
neither write nor see another tenant, from what a unit says about itself, or from the kill file.
"""
