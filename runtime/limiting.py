"""Asks the running gateway of a home about its desk's limits, and to change one.

Not here: what a gateway does with it (`limit_switch`), the command line (`commands.limits`).

Invariant: nothing is said to be in force that the desk did not confirm.
"""

import asyncio
from pathlib import Path
from typing import Any, Final

import msgspec

from parley.errors import UserError
from parley.messages import Envelope
from runtime.frames import CONTROL, Link, connect, control
from runtime.killing import gateways
from runtime.limit_word import SET, SHOW, TOLD, Wish
from runtime.unit import path_of

ANSWER_S: Final = 2.0
CONFIRM_S: Final = 10.0
Answer = dict[str, Any]


def show(home: Path, account: str = "") -> Answer:
    """Return the table of the home's running desk, as its gateway has it.

    Raises
    ------
    UserError
        When none runs, several do and no ``account`` is named, or it does not answer.
    """
    return asyncio.run(_ask(_socket(home, account), SHOW))


def change(home: Path, wish: Wish, account: str = "") -> Answer:
    """Ask for a change and wait for the desk; the answer says ``asked`` or ``taken``, and ``confirmed``.

    Raises
    ------
    UserError
        As `show`, and when the change cannot be made, with the reason.
    """
    return asyncio.run(_ask(_socket(home, account), SET + msgspec.json.encode(wish).decode()))


def _socket(home: Path, account: str) -> Path:
    running = [each for each in gateways(home) if each.kill_socket]
    named = [each for each in running if not account or each.account == account]
    if not running:
        raise UserError(f"no desk runs in {str(home)!r}: its limits are those of the settings it starts with")
    if not named:
        known = ", ".join(sorted(each.account for each in running))
        raise UserError(f"no desk of account {account!r} runs, there are those of {known}")
    if len(named) > 1:
        raise UserError(f"{len(named)} desks run here: say which with --account")
    return path_of(named[0].kill_socket)


async def _ask(path: Path, word: str) -> Answer:
    said: asyncio.Queue[Envelope | None] = asyncio.Queue()
    link: Link | None = None
    try:
        link = await connect(path, said.put_nowait, lambda why: said.put_nowait(None))
        async with asyncio.timeout(ANSWER_S):
            link.send(control(word, sender="limits", to="gateway"))
            answer = _read(await said.get())
        if answer.get("taken"):
            answer |= {"confirmed": False, "refused": False}
            try:
                async with asyncio.timeout(CONFIRM_S):
                    answer |= _read(await said.get())
            except TimeoutError:
                pass  # it counts at the gateway, and waits for its desk
    except TimeoutError:
        raise UserError(f"the gateway did not answer within {ANSWER_S} s") from None
    except ConnectionError as error:
        raise UserError(f"the gateway cannot be asked: {error}") from error
    finally:
        if link is not None:
            link.close("done", abort=True)
            await asyncio.sleep(0)
    if "error" in answer:
        raise UserError(str(answer["error"]))
    return answer


def _read(envelope: Envelope | None) -> Answer:
    body = envelope.body if envelope is not None and envelope.kind == CONTROL else b""
    if not body.startswith(TOLD.encode()):
        raise ConnectionError("the gateway hung up")
    answer: Answer = msgspec.json.decode(body.removeprefix(TOLD.encode()))
    return answer
