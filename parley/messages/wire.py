"""The base of every message and the envelope it travels in.

A message is an immutable msgspec Struct, encoded as a MessagePack array with
its tag first. The schema is append-only: new fields go at the end and have
defaults, tags are never reused, unknown trailing fields are ignored by older
readers. Nothing here knows what a message means.
"""

import msgspec


class Wire(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """Base of all wire types. Subclasses that travel alone set an integer ``tag``."""


class Envelope(Wire, frozen=True, kw_only=True):
    """One message in journal order.

    ``t_event`` is wall time in ns (the venue's ``E`` where the message came from
    one), ``t_mono`` monotonic ns at admission, ``deadline`` monotonic ns or 0,
    ``cause`` the ``seq`` of the direct parent (0: came from outside). Market time
    travels in the body.
    """

    v: int = 1
    kind: int
    tenant: str
    desk: int
    epoch: int
    seq: int
    round: bytes
    sender: str
    to: str
    cause: int
    t_event: int = 0
    t_mono: int = 0
    deadline: int = 0
    body: bytes
    t_recv: int = 0  # wall ns at admission: age of data = t_recv - t_event
