"""What several tests share that lives in an event loop: opened once, every story told in the same loop.

Not here: what is opened. Invariant: the loop stands still between two stories.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, TypeVar

S = TypeVar("S")


class Shared(Generic[S]):
    """Something open, and the loop it lives in."""

    def __init__(self, runner: asyncio.Runner, stage: S) -> None:
        self._runner = runner
        self.stage = stage

    def play(self, story: Callable[[S], Coroutine[Any, Any, None]]) -> None:
        """Let a story happen."""
        self._runner.run(story(self.stage))


@contextlib.contextmanager
def shared(opening: AbstractAsyncContextManager[S]) -> Iterator[Shared[S]]:
    """Open something for as long as the context lasts."""
    with asyncio.Runner() as runner:
        stage = runner.run(_entered(opening))
        yield Shared(runner, stage)
        runner.run(_left(opening))


async def _entered(opening: AbstractAsyncContextManager[S]) -> S:
    return await opening.__aenter__()


async def _left(opening: AbstractAsyncContextManager[S]) -> None:
    await opening.__aexit__(None, None, None)
