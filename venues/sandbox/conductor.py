"""The market's clock: when the next step happens, and the control socket that announces it.

With speed `max` the market is in lock-step with one client outside of the venue's protocol: a step
is announced after its messages were written, and nothing further of the market happens before that
client acknowledges. With a number as speed, steps follow wall time and are announced as well, to the
client that came last: the market of one that died goes on, and whoever takes its place hears the rest.
Requests are served between steps in both cases. Invariant: a step is announced at most once, after
all of its messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from venues.sandbox.connections import StreamHub
from venues.sandbox.exchange import Exchange
from venues.sandbox.feeds import Feed
from venues.sandbox.session import MarketSession, MarketStreams


@dataclass(slots=True)
class Progress:
    """How far the market is."""

    steps: int = 0
    ended: bool = False


class Conductor:
    """Plays the feed, in lock-step with the control client or by the wall clock."""

    def __init__(
        self, feed: Feed, exchange: Exchange, session: MarketSession, streams: MarketStreams, hub: StreamHub,
        speed: float | None, parts: int = 1,
    ) -> None:  # fmt: skip
        self._feed = feed
        self._exchange = exchange
        self._session = session
        self._streams = streams
        self._hub = hub
        self._speed = speed
        self._parts = parts
        self._tasks: set[asyncio.Task[None]] = set()
        self._playing = False
        self._told: asyncio.StreamWriter | None = None  # whoever hears of the steps
        self.progress = Progress()
        self.on_moment: Callable[[int], None] = lambda ms: None

    async def listen(self, path: str) -> asyncio.Server:
        """Open the control socket; only the same user may connect."""
        Path(path).unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._connected, path, limit=1 << 20)
        Path(path).chmod(0o600)
        return server

    async def run_without_control(self) -> None:
        """Play with nobody to announce to; at speed `max` as fast as it goes."""
        await self._play(None)

    async def close(self) -> None:
        """Stop playing and hang up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._greet(reader, writer)
            self._told = writer
            if self.progress.ended:
                _send(writer, self._totals())
            elif not self._playing:
                await self._play(reader)
            while await reader.readline():
                pass  # after the end, the client may stay
        except (ConnectionError, asyncio.IncompleteReadError, ProtocolError, ValueError) as error:
            _send(writer, {"error": str(error)})
        finally:
            writer.close()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = await _receive(reader)
        if hello.get("hello") != "feed":
            raise ProtocolError(f'expected {{"hello": "feed"}}, got {hello!r}')
        if self._speed is None and self._playing:
            raise ProtocolError(
                "expected one control client, the market is already in lock-step with another"
            )
        _send(
            writer,
            {
                "ready": True,
                "symbols": [one.symbol for one in self._feed.instruments],
                "timeframe_ms": self._feed.length_ms,
            },
        )
        go = await _receive(reader)
        if go.get("go") is not True:
            raise ProtocolError(f'expected {{"go": true}}, got {go!r}')

    async def _play(self, reader: asyncio.StreamReader | None) -> None:
        self._playing = True
        loop = asyncio.get_running_loop()
        started, first_ms = loop.time(), None
        try:
            while (step := self._feed.next_step()) is not None:
                for moment in step.moments(self._parts):
                    if self._speed is not None:
                        first_ms = step.open_ms if first_ms is None else first_ms
                        due = started + (moment - first_ms) / 1000 / self._speed
                        await asyncio.sleep(max(0.0, due - loop.time()))
                    if moment < step.close_ms:
                        self._session.play_until(step, moment, self._streams)
                    else:
                        self._session.play(step, self._streams)
                    self.on_moment(moment)
                    self._hub.flush()
                    self.progress.steps += 1
                    self._tell(self._announcement(moment))
                    if self._speed is None:
                        if reader is not None:
                            await self._acknowledged(reader)
                        else:
                            await asyncio.sleep(0)
            self._end()
        finally:
            self._playing = False

    def _announcement(self, close_ms: int) -> dict[str, object]:
        settlement = self._exchange.settlement
        return {
            "step": self.progress.steps,
            "t": close_ms,
            "marks": self._streams.marks(),
            "candles_sent": self._streams.candles_sent,
            # whatever an account is told of beside its orders' states
            "fills": settlement.fill_count + settlement.payment_count,
        }

    async def _acknowledged(self, reader: asyncio.StreamReader) -> None:
        message = await _receive(reader)
        if message.get("ack") != self.progress.steps:
            raise ProtocolError(f'expected {{"ack": {self.progress.steps}}}, got {message!r}')

    def _end(self) -> None:
        self.progress.ended = True
        totals = self._totals()
        del totals["end"]
        self._exchange.truth.write("exhausted", self._exchange.clock, totals)
        self._tell(self._totals())

    def _totals(self) -> dict[str, object]:
        return {
            "end": True,
            "steps": self.progress.steps,
            "candles_sent": self._streams.candles_sent,
            # also those that closed while nobody listened
            "candles_closed": self._session.candles_closed,
            "fills": self._exchange.settlement.fill_count,
        }

    def _tell(self, announcement: dict[str, object]) -> None:
        if self._told is not None:
            _send(self._told, announcement)


class ProtocolError(ValueError):
    """The control client said something that is not part of the protocol."""


async def _receive(reader: asyncio.StreamReader) -> dict[str, object]:
    line = await reader.readline()
    if not line:
        raise ConnectionResetError("the control client is gone")
    try:
        message = msgspec.json.decode(line)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"expected a JSON line, got {line[:80]!r}") from error
    if not isinstance(message, dict):
        raise ProtocolError(f"expected a JSON object, got {line[:80]!r}")
    return message


def _send(writer: asyncio.StreamWriter, message: dict[str, object]) -> None:
    if not writer.is_closing():
        writer.write(msgspec.json.encode(message) + b"\n")
