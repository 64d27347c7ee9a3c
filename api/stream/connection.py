"""One client of the stream: what it asks, what waits for it, when it is cut off.

Problem: a client may read slowly or not at all, and must neither hold up the others nor fill the memory. All
that is sent waits in one bounded queue; who lets it run over, or does not read for some seconds, is cut off
with code 4008 and resumes by offset. Events a client missed are read only as fast as it takes them.

Not here: which events there are (`broker`).

Invariant: on each channel a client gets the events behind its offset in order, each once, or is told by
`recovered` or by the end of the connection that it does not.
"""

import asyncio
import contextlib
import secrets
import time
from collections import deque
from datetime import UTC, datetime
from typing import Final

from pydantic import TypeAdapter, ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from api.metrics import Metrics
from api.schemas.stream import (
    CHANNELS,
    ClientMessage,
    Hello,
    Ping,
    Pong,
    Since,
    Subscribe,
    Subscribed,
    Unsubscribed,
    encode,
)
from api.stream.broker import KEPT_RECORDS, Broker
from api.stream.events import Event
from api.wire import show_time
from runtime.postgres import DatabaseDown

PROTOCOL: Final = "parley.v1"
HEARTBEAT_S: Final = 15.0
MOST_ENVELOPES: Final = 2000
MOST_BYTES: Final = 4 << 20
LARGEST_FRAME: Final = 256 << 10
STALL_S: Final = 5.0
MESSAGES_PER_S: Final = 20
_ROOM: Final = 500  # replaying waits until so few are left
BAD_MESSAGE, NO_CHANNEL, SLOW, TOO_MANY, TRY_LATER = 4400, 4404, 4008, 4429, 1013
_CODES: Final = frozenset({1000, 1001, 1005, 1006, 1012, BAD_MESSAGE, NO_CHANNEL, SLOW, TOO_MANY, TRY_LATER})

_messages: TypeAdapter[ClientMessage] = TypeAdapter(ClientMessage)


class Cut(Exception):
    """The connection ends with a close code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Connection:
    """A client from its first word to its last."""

    def __init__(self, socket: WebSocket, broker: Broker, metrics: Metrics, tenant: str) -> None:
        self._socket = socket
        self._broker = broker
        self._metrics = metrics
        self._tenant = tenant
        self._queue: deque[tuple[str, int, bytes]] = deque()  # channel ("" for a reply), offset, frame
        self._bytes = 0
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._cut: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ids: dict[str, int] = {}
        self._spent: deque[float] = deque(maxlen=MESSAGES_PER_S)

    async def serve(self) -> None:
        """Talk to the client until it leaves or is cut off."""
        self._put("", 0, encode(Hello(
            conn=secrets.token_hex(8), server_time=_now(), heartbeat_ms=int(HEARTBEAT_S * 1000),
            max_subs=len(CHANNELS), tenant=self._tenant,
        )))  # fmt: skip
        work = {asyncio.ensure_future(self._hear()), asyncio.ensure_future(self._send())}
        code, reason = 1000, ""
        try:
            done, _ = await asyncio.wait({*work, self._cut}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except Cut as cut:
            code, reason = cut.code, cut.reason
        except WebSocketDisconnect as gone:
            code = gone.code
        finally:
            for channel in CHANNELS:
                self._broker.leave(channel, self)
            for task in (*work, self._cut):
                task.cancel()
            await asyncio.gather(*work, self._cut, return_exceptions=True)
            self._queue.clear()
            self._metrics.closed.labels(str(code) if code in _CODES else "other").inc()
            if reason:
                with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # it is gone, or closed, already
                    await self._socket.close(code, reason)

    def offer(self, event: Event) -> None:
        """Take an event of the broker."""
        self._put(event.channel, event.off, event.raw)

    def begin_epoch(self, channel: str, run: str) -> None:
        """Tell the client that a new run begins."""
        told = Subscribed(id=self._ids[channel], ch=channel, epoch=run, off=0, recovered=False)
        self._put("", 0, encode(told))

    def _put(self, channel: str, off: int, frame: bytes) -> None:
        if self._cut.done():
            return
        self._queue.append((channel, off, frame))
        self._bytes += len(frame)
        self._news.set()
        if len(self._queue) > MOST_ENVELOPES or self._bytes > MOST_BYTES:
            self._end(SLOW, "slow-consumer")

    def _end(self, code: int, reason: str) -> None:
        if not self._cut.done():
            self._cut.set_exception(Cut(code, reason))

    async def _send(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._queue:
                self._metrics.queue_depth.observe(len(self._queue))
                text, events = self._frame()
                try:
                    async with asyncio.timeout(STALL_S):
                        await self._socket.send_text(text)
                except TimeoutError:
                    raise Cut(SLOW, "slow-consumer") from None
                except RuntimeError:  # the server's word for a socket that was closed meanwhile
                    raise WebSocketDisconnect(1006) from None
                if events:
                    self._metrics.sent.labels("L").inc(events)
                if len(self._queue) <= _ROOM:
                    self._room.set()

    def _frame(self) -> tuple[str, int]:
        """Take the next frame: a reply, or the events that wait; those of one offset stay together."""
        channel, off, first = self._take()
        if not channel:
            return first.decode(), 0
        items, size = [first], len(first)
        while self._queue and self._queue[0][0]:
            is_same = self._queue[0][:2] == (channel, off)
            if size + len(self._queue[0][2]) > LARGEST_FRAME and not is_same:
                break
            channel, off, frame = self._take()
            items.append(frame)
            size += len(frame)
        if len(items) == 1:
            return first.decode(), 1
        return (b'{"t":"evs","items":[' + b",".join(items) + b"]}").decode(), len(items)

    def _take(self) -> tuple[str, int, bytes]:
        found = self._queue.popleft()
        self._bytes -= len(found[2])
        return found

    async def _hear(self) -> None:
        while True:
            heard = await self._socket.receive()
            if heard["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(heard.get("code", 1006))
            self._count()
            try:
                message = _messages.validate_json(heard.get("text") or "")
            except ValidationError:
                raise Cut(BAD_MESSAGE, "bad-message") from None
            if isinstance(message, Ping):
                self._put("", 0, encode(Pong(server_time=_now())))
                continue
            if message.ch not in CHANNELS:
                raise Cut(NO_CHANNEL, "no-such-channel")
            self._broker.leave(message.ch, self)
            if isinstance(message, Subscribe):
                await self._subscribe(message)
            else:
                self._ids.pop(message.ch, None)
                self._put("", 0, encode(Unsubscribed(id=message.id, ch=message.ch)))

    def _count(self) -> None:
        now = time.monotonic()
        if len(self._spent) == MESSAGES_PER_S and now - self._spent[0] < 1.0:
            raise Cut(TOO_MANY, "too-many-messages")
        self._spent.append(now)

    async def _subscribe(self, asked: Subscribe) -> None:
        self._ids[asked.ch] = asked.id
        try:
            run, head = await self._broker.place()
            self._broker.hold()
            try:
                await self._catch_up(asked, run, head)
            finally:
                self._broker.release()
        except DatabaseDown:
            raise Cut(TRY_LATER, "database-unavailable") from None

    async def _catch_up(self, asked: Subscribe, run: str, head: int) -> None:
        if asked.since is not None and asked.since.off > head:
            await self._broker.look()  # a list may be read a moment before the broker looks
            run, head = self._broker.run, self._broker.position
        is_recovered = _is_kept(asked.since, run, head)
        if asked.since is not None:
            self._metrics.resumes.labels("recovered" if is_recovered else "lost").inc()
        told = Subscribed(id=asked.id, ch=asked.ch, epoch=run, off=head, recovered=is_recovered)
        self._put("", 0, encode(told))
        place = asked.since.off if asked.since is not None and is_recovered else head
        # No wait stands between finding out that nothing is missed and joining.
        while True:
            if run != self._broker.run:
                run, place = self._broker.run, 0
                self.begin_epoch(asked.ch, run)
            if place >= self._broker.position:
                break
            events, place = await self._broker.missed(asked.ch, run, place)
            await self._replay(events)
        self._broker.join(asked.ch, self)

    async def _replay(self, events: list[Event]) -> None:
        before = -1
        for event in events:
            # Never between two events of one offset, which must leave in one frame.
            if event.off != before and len(self._queue) > MOST_ENVELOPES // 2:
                self._room.clear()
                await self._room.wait()
            before = event.off
            self.offer(event)


def _is_kept(since: Since | None, run: str, head: int) -> bool:
    return since is None or (since.epoch == run and head - KEPT_RECORDS <= since.off <= head)


def _now() -> str:
    return show_time(datetime.now(UTC))
