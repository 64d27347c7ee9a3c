"""What a call that changes something must bring: the token, no foreign page, a key against doubling.

Problem: the API listens on the loopback interface, where every program of every user and every web page a
browser shows can reach it. Reading is open to them; stopping, releasing and limits are not. Until there are
users, whoever may read one file of the home may write: it holds the token.

Not here: what is done (`routers.control`).

Invariant: without a token, nothing is changed. The same key never does the same thing twice while this
process lives, and never another.
"""

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Final

from fastapi import Depends, Header, Request
from pydantic import BaseModel

from api.problems import ApiError
from api.services import Services
from parley.errors import ConfigError
from runtime.unit import read_private

TOKEN: Final = Path("keys") / "api-token"
_LEAST: Final = 24
_KEPT_S: Final = 24 * 3600.0
_MOST_KEPT: Final = 10_000


def _wrong(request: Request) -> None:
    origin, host = request.headers.get("origin", ""), request.headers.get("host", "")
    is_foreign = bool(origin) and origin.partition("://")[2] != host
    if is_foreign or request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise ApiError("foreign-origin", f"the origin must be {host!r} or none, was {origin[:100]!r}")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ApiError("unsupported-media-type", "the body must be application/json")


async def may_write(request: Request) -> None:
    """Let only those pass who have the token."""
    services: Services = request.app.state.services
    token = _token(services.home)
    _wrong(request)
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token):
        raise ApiError(
            "unauthenticated", "Authorization must be 'Bearer TOKEN', with the token of keys/api-token"
        )


def _token(home: Path | None) -> bytes:
    if home is None or not (file := home / TOKEN).exists():
        raise ApiError("writing-off", f"this API changes nothing: there is no token in {TOKEN} of its home")
    try:
        token = read_private(file).strip()
    except ConfigError as error:
        raise ApiError("writing-off", str(error)) from None
    if len(token) < _LEAST:
        raise ApiError("writing-off", f"the token in {TOKEN} must have {_LEAST} characters, has {len(token)}")
    return token


Writer = Depends(may_write)
Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", max_length=200, description="Says that a repeated call is the same one."),
]


class Replays:
    """What was answered under which key, for a day."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[bytes, float, asyncio.Future[BaseModel]]] = {}

    async def once(
        self, route: str, key: str | None, asked: BaseModel, work: Callable[[], Awaitable[BaseModel]]
    ) -> tuple[BaseModel, bool]:
        """Do what is asked, or return what was answered to the same call before, and True."""
        if not key:
            raise ApiError("idempotency-key-missing", "the header Idempotency-Key must name this call")
        self._forget()
        fingerprint = blake2b(asked.model_dump_json().encode()).digest()
        if (known := self._known.get((route, key))) is not None:
            if known[0] != fingerprint:
                raise ApiError("idempotency-key-reused", "this key was used for another call")
            if not known[2].done():
                raise ApiError("still-running", "the call under this key is still running")
            return known[2].result(), True
        done: asyncio.Future[BaseModel] = asyncio.get_running_loop().create_future()
        self._known[route, key] = (fingerprint, time.monotonic(), done)
        try:
            answer = await work()
        except BaseException:
            del self._known[route, key]  # nothing was answered: it may be tried again
            raise
        done.set_result(answer)
        return answer, False

    def _forget(self) -> None:
        since = time.monotonic() - _KEPT_S
        old = [key for key, (_, at, done) in self._known.items() if at < since and done.done()]
        old += list(self._known)[: max(0, len(self._known) - len(old) - _MOST_KEPT)]
        for key in dict.fromkeys(old):
            del self._known[key]
