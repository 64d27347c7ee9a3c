"""`/kill`, `/release` and `/limits`: what the commands of these names do, by the same rules.

Not here: the rules (`runtime.killing`, `runtime.limit_switch`), who may write (`writing`).

Invariant: this process never holds an exchange's key: where a gateway does not answer, `parley kill` is run,
which ends it and cancels with its key in a process of its own.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Request, Response
from pydantic import BaseModel

from api.document import BASE, access, problems
from api.problems import ApiError
from api.schemas.control import KillWish, LimitAnswer, LimitTable, LimitWish, ReleaseWish, Switched
from api.services import Parts, Services
from api.writing import Key, Replays, Writer
from parley.errors import ConfigError, UserError
from runtime import killing, limiting
from runtime.inheritance import inherited
from runtime.kill_file import Kill, Standing
from runtime.limit_word import Wish
from runtime.standing_kills import told

router = APIRouter(prefix=BASE, tags=["control"])
_WRITES: Final = problems(
    "bad-request", "idempotency-key-missing", "unauthenticated", "writing-off", "foreign-origin", "conflict",
    "still-running", "unsupported-media-type", "invalid-parameter", "idempotency-key-reused",
)  # fmt: skip
_BY: Final = "API token"


@router.post(
    "/kill", name="kill", summary="Stop trading", openapi_extra=access("kill:activate", "exempt"),
    responses=_WRITES, dependencies=[Writer],
)  # fmt: skip
async def kill(
    parts: Parts, request: Request, response: Response, wish: KillWish, key: Key = None
) -> Switched:
    """Stop now and over every restart, until it is released."""

    async def work() -> Switched:
        home = _home(parts)
        done = await _tried(
            lambda: killing.kill(home, wish.scopes, wish.mode, wish.reason, _BY, takes_over=False)
        )
        if any(each["error"] for each in done["accounts"]):
            done["accounts"] = await _by_command(home, wish)
        return _switched(done)

    return Switched.model_validate(await _once(request, response, "kill", key, wish, work))


@router.post(
    "/release", name="release", summary="Let trade again", openapi_extra=access("kill:reset", "exempt"),
    responses=_WRITES, dependencies=[Writer],
)  # fmt: skip
async def release(
    parts: Parts, request: Request, response: Response, wish: ReleaseWish, key: Key = None
) -> Switched:
    """End kills; where operators are enrolled, one asks and another confirms."""

    async def work() -> Switched:
        home, who = _home(parts), (wish.operator, wish.operator_key, wish.confirm, _BY)
        return _switched(await _tried(lambda: killing.release(home, wish.scopes, wish.reason, *who)))

    return Switched.model_validate(await _once(request, response, "release", key, wish, work))


@router.get(
    "/limits", name="read_limits", summary="Limits of the running desk", openapi_extra=access("risk:read"),
    responses=problems("conflict"),
)  # fmt: skip
async def read_limits(parts: Parts, response: Response) -> LimitTable:
    """Tell what is in force, from the desk's gateway; it needs no database."""
    home = _home(parts)
    table = await _tried(lambda: limiting.show(home))
    response.headers["ETag"] = f'"v{table["n"]}"'
    return LimitTable.model_validate(table | {"version": table["n"]})


@router.put(
    "/limits/{key:path}", name="set_limit", summary="Change a limit of the running desk",
    openapi_extra=access("limits:write", "write"), dependencies=[Writer],
    responses=_WRITES | problems("outdated", "precondition-required"),
)  # fmt: skip
async def set_limit(
    parts: Parts, key: str, wish: LimitWish,
    if_match: Annotated[str | None, Header(max_length=40, description="The ETag of /limits.")] = None,
) -> LimitAnswer:  # fmt: skip
    """Change it from the next order on; where operators are enrolled, loosening takes two of them."""
    if if_match is None:
        raise ApiError("precondition-required", 'If-Match must be the ETag of /limits, such as "v0"')
    home = _home(parts)
    n = (await _tried(lambda: limiting.show(home)))["n"]
    if if_match != f'"v{n}"':
        raise ApiError("outdated", f'the limits are of version "v{n}", If-Match was {if_match!r}')
    asked = Wish(
        key=key, value=wish.value, reason=wish.reason, operator=wish.operator, secret=wish.operator_key,
        token=wish.confirm, n=n,
    )  # fmt: skip
    return LimitAnswer.model_validate(await _tried(lambda: limiting.change(home, asked)))


async def _once(
    request: Request, response: Response, route: str, key: str | None, wish: BaseModel,
    work: Callable[[], Awaitable[BaseModel]],
) -> BaseModel:  # fmt: skip
    replays: Replays = request.app.state.replays
    answer, was_before = await replays.once(route, key, wish, work)
    if was_before:
        response.headers["Idempotency-Replayed"] = "true"
    return answer


async def _tried(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return await asyncio.to_thread(work)
    except (UserError, ConfigError) as error:
        raise ApiError("conflict", str(error)) from None


def _home(parts: Services) -> Path:
    if parts.home is None:
        raise ApiError("conflict", "this API knows of no home, so of no desk")
    return parts.home


def _switched(done: dict[str, Any]) -> Switched:
    kills = tuple(Kill(**each) for each in done["standing"])
    return Switched.model_validate(
        {
            "killed": told(Standing(kills, damage=done["damage"]), None), "accounts": done["accounts"],
            "asked": done.get("asked", ""),
        }
    )  # fmt: skip


async def _by_command(home: Path, wish: KillWish) -> list[dict[str, Any]]:
    """Let `parley kill` do what takes an exchange's key, and return what it says of each account."""
    named = [word for scope in wish.scopes for word in ("--scope", scope)]
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "runtime.cli", "kill", *named, "--mode", wish.mode, "--reason", wish.reason,
        "--json", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=inherited() | {"PARLEY_HOME": str(home)},
    )  # fmt: skip
    out, errors = await child.communicate()
    try:
        accounts: list[dict[str, Any]] = json.loads(out)["accounts"]
    except (ValueError, KeyError):
        said = errors.decode(errors="replace").strip()[-300:]
        raise ApiError("conflict", f"the kill stands, but gateways could not be asked: {said}") from None
    return accounts
