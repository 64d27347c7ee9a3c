"""Keccak-256 as Ethereum uses it: SHA-3 before it became a standard, with another padding.

Python's `hashlib` has the standard only, and ccxt's own would bring all of ccxt into the exchange's process.
Source: https://keccak.team/keccak_specs_summary.html. Not here: what is hashed. Invariant: a hash of no bytes
is c5d24601...a470.
"""

from __future__ import annotations

_RATE = 136
_WORD = (1 << 64) - 1
_ROUNDS = 24


def keccak256(data: bytes) -> bytes:
    """The hash, 32 bytes."""
    padded = bytearray(data) + b"\x01"
    padded += bytes(-len(padded) % _RATE)
    padded[-1] |= 0x80
    lanes = [0] * 25  # lane (x, y) is at x + 5 * y
    for start in range(0, len(padded), _RATE):
        for n in range(_RATE // 8):
            lanes[n] ^= int.from_bytes(padded[start + 8 * n : start + 8 * n + 8], "little")
        lanes = _permuted(lanes)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])


def _permuted(lanes: list[int]) -> list[int]:
    for constant in _CONSTANTS:
        columns = [lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(5)]
        mixed = [columns[x - 1] ^ _turned(columns[(x + 1) % 5], 1) for x in range(5)]
        lanes = [lane ^ mixed[n % 5] for n, lane in enumerate(lanes)]
        moved = [0] * 25
        for n, lane in enumerate(lanes):
            moved[_PLACES[n]] = _turned(lane, _TURNS[n])
        lanes = [
            moved[n] ^ (~moved[n - n % 5 + (n + 1) % 5] & moved[n - n % 5 + (n + 2) % 5]) for n in range(25)
        ]
        lanes[0] ^= constant
    return lanes


def _turned(lane: int, by: int) -> int:
    return (lane << by | lane >> (64 - by)) & _WORD


def _places() -> list[int]:
    return [y + 5 * ((2 * x + 3 * y) % 5) for y in range(5) for x in range(5)]


def _turns() -> list[int]:
    turns, x, y = [0] * 25, 1, 0
    for t in range(24):
        turns[x + 5 * y] = (t + 1) * (t + 2) // 2 % 64
        x, y = y, (2 * x + 3 * y) % 5
    return turns


def _constants() -> list[int]:
    """Bits from a shift register of 8, placed at the powers of two less one."""
    found, register = [], 1
    for _ in range(_ROUNDS):
        constant = 0
        for power in range(7):
            if register & 1:
                constant |= 1 << ((1 << power) - 1)
            register <<= 1
            if register & 0x100:
                register ^= 0x171
        found.append(constant)
    return found


_PLACES, _TURNS, _CONSTANTS = _places(), _turns(), _constants()
