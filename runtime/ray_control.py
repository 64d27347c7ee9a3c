"""The socket at which a person's commands reach the Ray driver: one JSON object a line, each way.

Not here: what the commands do (`ray_driver`), how they are written (`commands.seats`).

Invariant: only this user's processes are answered; every question gets one line, a wrong one an ``error``.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec

from parley.errors import ParleyError, UserError
from runtime.agent_socket import open_listener
from runtime.frames import peer_of

_PATIENCE_S: Final = 15.0
_LONGEST: Final = 1 << 16
Answer = dict[str, object]


class Question(msgspec.Struct, frozen=True):
    """A command; ``agent`` is the id of one, or its last part where that is unique."""

    do: str
    agent: str = ""


async def serve_control(
    path: Path, answer: Callable[[Question], Awaitable[Answer]]
) -> asyncio.AbstractServer:
    """Answer questions at a Unix socket of mode 0600 until the server is closed."""

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            _, user = peer_of(writer.get_extra_info("socket"))
            if user == path.stat().st_uid:
                async for raw in reader:
                    writer.write(msgspec.json.encode(await _reply(raw)) + b"\n")
                    await writer.drain()
        except (OSError, ValueError):
            pass  # the asker went away, or said more than a question has
        finally:
            writer.close()

    async def _reply(raw: bytes) -> Answer:
        try:
            return await answer(msgspec.json.decode(raw, type=Question))
        except msgspec.MsgspecError as error:
            return {"error": f"no question: {error}"}
        except ParleyError as error:
            return {"error": str(error)}

    return await asyncio.start_unix_server(meet, sock=open_listener(str(path)), limit=_LONGEST)


def ask(path: Path, question: Question) -> Answer:
    """Ask the driver.

    Raises
    ------
    UserError
        When nothing answers there, or the driver says what is wrong with the question.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_PATIENCE_S)
            connection.connect(str(path))
            connection.sendall(msgspec.json.encode(question) + b"\n")
            with connection.makefile("rb") as stream:
                raw = stream.readline()
    except OSError as error:
        raise UserError(f"the Ray driver does not answer at {str(path)!r}: {error}") from error
    if not raw:
        raise UserError(f"the Ray driver at {str(path)!r} hung up")
    said = msgspec.json.decode(raw, type=dict[str, object])
    if "error" in said:
        raise UserError(str(said["error"]))
    return said
