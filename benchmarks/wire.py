"""What passed the loopback wire and when, as the kernel stamped it: events that came, orders that went.

Problem: where an exchange's event begins and where an order ends is outside of Parley, so no stamp of ours is
there. The kernel stamps each packet as it passes, and a packet socket reads them without touching anybody.

Not here: what is run meanwhile. Invariant: nothing is measured that was not seen: a machine that lets nobody
read packets (no CAP_NET_RAW) has no figure and says so, and one that lost packets has none either. IPv4, and
requests that fit into one packet.
"""

import re
import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

_ALL: Final = 0x0003  # ETH_P_ALL
_OUTGOING: Final = 4  # each packet is seen twice on loopback, as it leaves and as it comes
_TIMESTAMPNS: Final = 35  # SO_TIMESTAMPNS
_RCVBUFFORCE: Final = 33
_SOL_PACKET: Final = 263
_STATISTICS: Final = 6  # PACKET_STATISTICS: how many were seen, and how many lost
_IPV4: Final = 4
_TCP: Final = 6
_ETHERNET: Final = 14
_CID: Final = re.compile(rb"newClientOrderId=(\w+)")


@dataclass(frozen=True)
class Passed:
    """``payload`` went from port to port; ``t`` is wall ns."""

    t: int
    source: int
    target: int
    payload: bytes


@dataclass
class Wire:
    """What was seen so far; ``refused`` says why nothing can be seen."""

    refused: str = ""
    passed: list[Passed] = field(default_factory=list)


@contextmanager
def watched_wire() -> Iterator[Wire]:
    """Read TCP payloads of the loopback device until the context ends."""
    wire, ended = Wire(), threading.Event()
    try:
        reading = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(_ALL))
    except OSError as error:
        yield Wire(refused=f"packets cannot be read here: {error}")
        return
    with reading:
        reading.bind(("lo", 0))
        reading.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
        reading.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, 64 << 20)
        reading.settimeout(0.2)
        thread = threading.Thread(target=_read, args=(reading, wire, ended))
        thread.start()
        try:
            yield wire
        finally:
            ended.set()
            thread.join()
            lost = struct.unpack("II", reading.getsockopt(_SOL_PACKET, _STATISTICS, 8))[1]
            wire.refused = f"{lost} packets were lost" if lost else ""


def _read(reading: socket.socket, wire: Wire, ended: threading.Event) -> None:
    while not ended.is_set():
        try:
            packet, said, _, address = reading.recvmsg(1 << 17, 128)
        except TimeoutError:
            continue
        at = _ETHERNET + (packet[_ETHERNET] & 15) * 4
        if address[2] == _OUTGOING or packet[_ETHERNET] >> 4 != _IPV4 or packet[_ETHERNET + 9] != _TCP:
            continue
        seconds, ns = struct.unpack("qq", said[0][2][:16])
        source, target = struct.unpack(">HH", packet[at : at + 4])
        payload = packet[at + (packet[at + 12] >> 4) * 4 :]
        if payload:
            wire.passed.append(Passed(seconds * 1_000_000_000 + ns, source, target, payload))


def answered_us(passed: Iterable[Passed], port: int, event: bytes) -> dict[str, float]:
    """How long after the newest ``event`` of the exchange at ``port`` each order was sent to it, us by id."""
    found: dict[str, float] = {}
    last = 0
    for each in sorted(passed, key=lambda one: one.t):
        if each.source == port and event in each.payload:
            last = each.t
        elif each.target == port and last and (asked := _CID.search(each.payload)):
            found[asked[1].decode()] = (each.t - last) / 1000
    return found
