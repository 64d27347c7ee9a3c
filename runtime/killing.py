"""Kills and releases the firms of a home: the kill file first, then every gateway that runs.

Problem: whoever kills must not depend on what he kills. The kill file is written first and is all that is
needed to keep orders from leaving; then every running gateway is asked, and one that does not answer within
half a second is ended and its orders are cancelled from here, with its key (settled 21). What that needs, a
venue's client among it, is loaded only then: it takes seconds, and it may be what is broken.

Not here: what a kill means to a gateway (`kill_switch`) and to a desk (`orchestrator.kills`), the command
line (`commands.kill`).

Invariant: nothing is said to be cancelled that the venue did not confirm. A firm that was killed stays killed
until it is released, over any restart.
"""

import asyncio
import getpass
import os
import secrets
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from parley.errors import ConfigError, ParleyError, UserError
from parley.messages import Envelope, Intent
from runtime import kill_file
from runtime.approvals import PATIENCE_NS, Ask, refuse_wrong
from runtime.doubts import InDoubt
from runtime.frames import CONTROL, connect, control
from runtime.gateway_lock import GatewayLock
from runtime.host import load
from runtime.journal import JournalError
from runtime.kill_file import NAME, Kill, Standing, hits
from runtime.kill_switch import ASK, DOUBTS, PATIENCE_S, STANDING, SWEPT, Swept, Told
from runtime.leftovers import CLAIM, is_claimed
from runtime.operators import operators_of
from runtime.real_money import BOOKS
from runtime.unit import path_of

ANSWER_S: Final = 0.5
_SWEEP_S: Final = PATIENCE_S + 5.0
_TAKE_OVER: Final = "runtime.kill_takeover:take_over_from"
_RECOVER: Final = "runtime.gateway_log:recover"
Result = dict[str, Any]


class _Gateway(msgspec.Struct, frozen=True):
    """Of a gateway's configuration what it takes to ask it, and to end it; ``file`` is where it was found."""

    account: str
    journal: str
    tenant: str = "local"
    kill_socket: str = ""
    file: Path = Path()


Obey = Callable[[_Gateway, Standing], dict[str, Any]]


def kill(
    home: Path, scopes: Sequence[str], mode: str, reason: str, who: str = "", *, takes_over: bool = True
) -> Result:
    """Write the kills, then see to it that every running gateway obeys; ``who`` kills, empty: this user.

    Not ``takes_over``: what would take a key is only said, as the ``error`` of its account.

    Raises
    ------
    UserError
        When a scope or mode is none.
    OSError
        When the home cannot be written to.
    """
    began = time.monotonic()
    path = file_of(home)
    standing = kill_file.write(path, "kill", scopes, mode=mode, reason=reason, by=who or _who())
    written_ms = (time.monotonic() - began) * 1e3
    obey = _obey if takes_over else _heard
    accounts = [obey(config, standing) for config in gateways(home)] + _ended(home, standing, obey)
    return _result(path, standing, accounts) | {"written_ms": round(written_ms, 1)}


def release(
    home: Path, scopes: Sequence[str], reason: str, operator: str = "", key: str = "", token: str = "",
    who: str = "",
) -> Result:  # fmt: skip
    """Write the releases and tell every running gateway; what else stands goes on standing.

    Where operators are enrolled it is only asked for, by one of them, until another says the ``token``.

    Raises
    ------
    UserError
        When no reason is given, a scope is none, or an operator's key is missing or wrong.
    OSError
        When the home cannot be written to.
    """
    if not reason.strip() and not token:
        raise UserError("a release must say why: --reason TEXT")
    path, operators, by = file_of(home), operators_of(home), who or _who()
    do, mode, asked = "release", "", ""
    said: Callable[[Standing], tuple[str, str]] | None = None
    if operator or operators.need_two:
        if not operator:
            raise UserError(
                "a release takes two operators: say --as NAME, with the key in PARLEY_OPERATOR_KEY"
            )
        by = f"{operators.check(operator, key)} as {by}"
        if token:  # looked at while nobody can kill anew: that would be another kill than was asked about
            said = partial(_said, scopes, operator, token, by)
        else:
            do, mode = kill_file.ASK, secrets.token_hex(4)
            asked = mode
    elif token:
        raise UserError("nobody is enrolled in this home, so nothing waits for a second key")
    standing = kill_file.write(path, do, scopes, mode=mode, reason=reason, by=by, said=said)
    result = _result(path, standing, [_told(config) for config in gateways(home)])
    return result | ({"asked": asked} if asked else {})


def _said(
    scopes: Sequence[str], operator: str, token: str, by: str, standing: Standing
) -> tuple[str, str]:  # fmt: skip
    first = _confirmed(standing, scopes, operator, token)
    return first.reason, f"{first.by}, confirmed by {by}"


def _confirmed(standing: Standing, scopes: Sequence[str], operator: str, token: str) -> kill_file.Asked:
    """Return what one operator asked for, if another may confirm it now, for exactly these scopes."""
    asked = {each.scope: each for each in standing.asked if each.token == token}
    for scope in scopes:
        found = asked.get(scope)
        ask = None
        if found is not None:
            by, until = found.by.partition(" ")[0], found.t + PATIENCE_NS
            ask = Ask(token=token, content=(scope,), by=by, why=found.reason, t=found.t, until=until)
        refuse_wrong(ask, token, (scope,), operator, time.time_ns())
    return asked[scopes[0]]


def in_doubt(home: Path) -> list[InDoubt] | None:
    """Ask every running gateway which orders nobody knows the fate of; None when one does not answer."""
    try:
        found = [
            asyncio.run(_doubts(path_of(each.kill_socket))) for each in gateways(home) if each.kill_socket
        ]
    except (UserError, ConnectionError, TimeoutError, msgspec.MsgspecError):
        return None
    return [each for told in found for each in told]


def file_of(home: Path) -> Path:
    """Return where a home's kill file is; the home is made if need be: one may kill before trading."""
    home = home.expanduser().resolve()
    home.mkdir(parents=True, exist_ok=True)
    return home / NAME


def gateways(home: Path) -> list[_Gateway]:
    """The gateways of all runs that live, as their configurations name them."""
    found = []
    for held in sorted((home.expanduser() / "runs").glob(f"*/{CLAIM}")):
        file = held.parent / "config" / "gateway.json"
        if is_claimed(held) and file.exists():
            found.append(_read(file))
    return found


def _ended(home: Path, standing: Standing, obey: Obey) -> list[dict[str, Any]]:
    """Cancel what runs with real money left resting when they ended, by whatever end."""
    said = []
    for books in sorted((home.expanduser() / "runs").glob(f"*/{BOOKS}")):
        folder = books.parent
        # a resume that failed has its configuration too: the newest knows the way to the exchange
        files = sorted(folder.glob("config*/gateway.json"), key=lambda file: file.stat().st_mtime)
        if not files or is_claimed(folder / CLAIM):
            continue
        try:
            config = _read(files[-1])
            if _may_trade(path_of(config.journal)):
                said.append(obey(config, standing))
        except (ParleyError, JournalError, OSError) as error:
            # one run that cannot be read must not keep the others from being cancelled
            said.append(_blank(folder.name) | {"error": f"run {folder.name!r}: {error}"})
    return said


def _may_trade(journal: Path) -> bool:
    if not journal.exists():
        return False
    alive = cast("Callable[[Path], Any]", load(_RECOVER))(journal).alive
    return any(order.intent.trigger is None for order in alive)  # stops that guard what is held stay


def _read(file: Path) -> _Gateway:
    try:
        named = msgspec.json.decode(file.read_bytes(), type=_Gateway)
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"the gateway of {str(file)!r} cannot be asked: {error}") from error
    return msgspec.structs.replace(named, file=file)


def _who() -> str:
    return f"{getpass.getuser()} (pid {os.getpid()})"


def _obey(config: _Gateway, standing: Standing) -> dict[str, Any]:
    over = standing.over(config.tenant, config.account)
    wanted = [each for each in over if each.mode != "block"]
    told = _told(config)
    if told["error"] is None or not over:
        return told
    path = path_of(config.journal)
    ended = GatewayLock(path).end_holder() if path.exists() else 0  # it sends no more, whatever comes next
    try:
        concerns = (lambda order: _concerns(wanted, order)) if wanted else None
        take_over_from = cast("Callable[..., Any]", load(_TAKE_OVER))
        done = asyncio.run(take_over_from(config.file, concerns))
    except UserError as error:
        return told | {"error": f"{told['error']}; taking over failed: {error}", "ended": ended}
    return told | {
        "error": None, "taken_over": True, "ended": ended or done.ended, "epoch": done.epoch,
        **_swept(done.swept),
    }  # fmt: skip


def _heard(config: _Gateway, standing: Standing) -> dict[str, Any]:
    return _told(config)


def _concerns(kills: Sequence[Kill], order: Intent) -> bool:
    return any(hits(kill, order.symbol, order.agent) for kill in kills)


def _told(config: _Gateway) -> dict[str, Any]:
    """Ask a gateway to read the file; says ``error`` when it does not answer in time."""
    began = time.monotonic()
    blank = _blank(config.account)
    if not config.kill_socket:
        return blank | {"error": "the gateway has no kill socket"}
    try:
        told, swept, answered = asyncio.run(_ask(path_of(config.kill_socket), began))
    except TimeoutError:
        return blank | {"error": f"no answer within {ANSWER_S} s"}
    except (UserError, ConnectionError) as error:
        return blank | {"error": f"no answer: {error}"}
    return blank | {"pid": told.pid, "answer_ms": round(answered * 1e3, 1), **_swept(swept)}


def _blank(account: str) -> dict[str, Any]:
    return {
        "account": account, "pid": None, "answer_ms": None, "taken_over": False, "error": None,
        **_swept(Swept(0, 0, (), 0.0, 0.0)),
    }  # fmt: skip


async def _doubts(path: Path) -> list[InDoubt]:
    said: asyncio.Queue[Envelope | None] = asyncio.Queue()
    link = await connect(path, said.put_nowait, lambda why: said.put_nowait(None))
    try:
        async with asyncio.timeout(ANSWER_S):
            link.send(control(DOUBTS, sender="status", to="gateway"))
            return msgspec.json.decode(_body(await said.get(), f"{DOUBTS}:"), type=list[InDoubt])
    finally:
        link.close("done", abort=True)
        await asyncio.sleep(0)


async def _ask(path: Path, began: float) -> tuple[Told, Swept, float]:
    said: asyncio.Queue[Envelope | None] = asyncio.Queue()
    link = await connect(path, said.put_nowait, lambda why: said.put_nowait(None))
    try:
        async with asyncio.timeout(ANSWER_S):
            link.send(control(ASK, sender="kill", to="gateway"))
            told = msgspec.json.decode(_body(await said.get(), STANDING), type=Told)
        answered = time.monotonic() - began
        async with asyncio.timeout(_SWEEP_S):
            return told, msgspec.json.decode(_body(await said.get(), SWEPT), type=Swept), answered
    finally:
        link.close("done", abort=True)
        await asyncio.sleep(0)


def _body(envelope: Envelope | None, word: str) -> bytes:
    if envelope is None or envelope.kind != CONTROL or not envelope.body.startswith(word.encode()):
        raise ConnectionError("the gateway hung up")
    return envelope.body.removeprefix(word.encode())


def _swept(swept: Swept) -> dict[str, Any]:
    return {
        "cancels_sent": swept.sent, "confirmed": swept.confirmed, "unconfirmed": list(swept.unconfirmed),
        "cancel_ms": swept.took_ms,
    }  # fmt: skip


def _result(path: Path, standing: Standing, accounts: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "waiting": [msgspec.structs.asdict(each) for each in standing.asked],
        "file": str(path), "damage": standing.damage, "accounts": accounts,
        "standing": [msgspec.structs.asdict(each) for each in standing.kills],
    }  # fmt: skip
