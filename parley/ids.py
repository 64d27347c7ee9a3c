"""Typed, deterministic identifiers.

An id here is a pure function of what it names, never of a clock or a random
source: the same trigger after a crash gives the same round, the same round the
same intents, the same intent the same client order id, so nothing that was
committed can happen twice (negotiation 2.3). No id is allocated anywhere else.
"""

import base64
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2s
from typing import Any, Final, NewType

AgentId = NewType("AgentId", str)  # "role/name", such as "strategy/ema"
RoundId = NewType("RoundId", bytes)  # 16 bytes
Pid = NewType("Pid", bytes)  # a proposal, 16 bytes
Iid = NewType("Iid", bytes)  # an intent, 16 bytes
Oid = NewType("Oid", bytes)  # an opinion, 16 bytes

NO_ROUND = RoundId(b"")


_DIGITS = "abcdefghijklmnopqrstuvwxyz234567"  # RFC 4648 base 32, in lower case
_PAIRS = tuple([first + second for first in _DIGITS for second in _DIGITS])


def _digest(*parts: bytes | str | int) -> bytes:
    return blake2s(b"".join([_FRAMES[type(part)](part) for part in parts]), digest_size=16).digest()


def _frame(raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "big") + raw


@lru_cache(maxsize=1024)
def _framed(text: str) -> bytes:
    """Frame a text; the words, agents and symbols of a run are few and come in every id."""
    return _frame(text.encode())


def _counted(number: int) -> bytes:
    digits = b"%d" % number
    return len(digits).to_bytes(4, "big") + digits


_FRAMES: Final[dict[type, Callable[[Any], bytes]]] = {str: _framed, bytes: _frame, int: _counted}


def round_id(tenant: str, desk: int, stream: str, trigger_seq: int, policy_version: int) -> RoundId:
    """Name the round a trigger opens; the same trigger always opens the same round."""
    return RoundId(_digest("round", tenant, desk, stream, trigger_seq, policy_version))


def proposal_id(round_: bytes, agent: str, n: int = 0) -> Pid:
    """Name an agent's n-th proposal of a round (n > 0 for a revision)."""
    return Pid(_digest("proposal", round_, agent, n))


def opinion_id(agent: str, symbol: str, valid_from: int) -> Oid:
    """Name the opinion an agent holds on a symbol from a market time on."""
    return Oid(_digest("opinion", agent, symbol, valid_from))


def intent_id(round_: bytes, pid: bytes, leg: int, child: int) -> Iid:
    """Name the child-th order of a decided leg."""
    return Iid(_digest("intent", round_, pid, leg, child))


def account_key(tenant: str, account: str) -> bytes:
    """Derive the key of an account's client order ids (32 bytes); not a secret, a name space."""
    return blake2s(f"{tenant}/{account}".encode()).digest()


@lru_cache(maxsize=64)
def tenant_tag(tenant: str) -> str:
    """Shorten a tenant to the five characters its client order ids start with."""
    return _base32(blake2s(tenant.encode(), digest_size=4).digest())[:5]


def client_order_id(key: bytes, tag: str, iid: bytes) -> str:
    """Render the client order id of an intent: tag + 26 base32 characters (31 in all)."""
    return tag + _base32(blake2s(iid, key=key, digest_size=16).digest())


def _base32(raw: bytes) -> str:
    """Render bytes as lower-case base 32 without padding; the stdlib's is several times slower."""
    bits = -(-len(raw) * 8 // 5) * 5
    value = int.from_bytes(raw, "big") << (bits - len(raw) * 8)
    if bits % 10:
        return "".join([_PAIRS[value >> shift & 1023] for shift in range(bits - 5, -1, -10)])[1:]
    return "".join([_PAIRS[value >> shift & 1023] for shift in range(bits - 10, -1, -10)])


def show_round(round_: bytes) -> str:
    """Render a round id as people see it: ``rnd_`` + base32."""
    return "rnd_" + _base32(round_)


def parse_round(text: str) -> RoundId:
    """Read a round id as `show_round` writes it.

    Raises
    ------
    ValueError
        When the text is not ``rnd_`` followed by 26 base32 characters.
    """
    body = text.removeprefix("rnd_")
    try:
        raw = base64.b32decode(body.upper() + "=" * (-len(body) % 8))
    except ValueError:
        raw = b""
    if len(raw) != 16:
        raise ValueError(f"a round id is 'rnd_' and 26 base32 characters, was {text!r}")
    return RoundId(raw)
