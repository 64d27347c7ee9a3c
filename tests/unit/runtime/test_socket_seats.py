"""What a desk does about agents that are paused, or that die of what they are told."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator

import pytest
from msgspec.structs import replace

from parley.agent import AgentEnv, AgentSpec
from parley.bus import EMPTY_STATE, Answer, Ask, Wave
from parley.errors import UserError
from parley.messages import Halt, StateView, decode
from runtime.agent_line import FIRST_SHUT_S, LONGEST_SHUT_S, MOST_DEATHS, SILENT_NS, Seat
from runtime.agent_socket import dial, open_listener
from runtime.socket_transport import UNHURRIED, SocketTransport
from runtime.wave_frames import (
    Answered,
    Beat,
    Cutter,
    FromDesk,
    Hello,
    Mark,
    Mute,
    Told,
    Unable,
    View,
    Welcome,
    frame,
    from_desk,
)
from tests.kit.units import short_folder

AGENT = "risk/main"
SPEC = AgentSpec(id=AGENT, role="risk", factory="agents.risk:make", subscriptions=("Halt",))
ENV = AgentEnv(tenant="t", account="a", quote="USDT", symbols=(), instruments={}, tf_ns=60_000_000_000)
HALT = Halt(scope="desk", mode="HALT", by="test", why="")
BUDGET_NS = 5_000_000_000
S = 1_000_000_000


class FakeProcess:
    """The other end of an agent's line, spoken by hand."""

    def __init__(self, address: str, incarnation: int) -> None:
        self._line = dial(address)
        self._line.settimeout(5)
        self._cutter = Cutter()
        self._line.sendall(frame(Hello(AGENT, incarnation, 4711)))

    def hear(self) -> list[FromDesk]:
        """Return the next words; none when the desk hung up."""
        words: list[bytes] = []
        while not words:
            try:
                data = self._line.recv(1 << 16)
            except ConnectionError:
                return []
            if not data:
                return []
            words = self._cutter.feed(data)
        return [from_desk(word) for word in words]

    def catch_up(self) -> list[FromDesk]:
        """Listen up to the mark and send it back."""
        heard: list[FromDesk] = []
        while not heard or not isinstance(heard[-1], Mark):
            heard += self.hear()
        mark = heard[-1]
        assert isinstance(mark, Mark)
        self._line.sendall(frame(mark))
        return heard

    def say(self, word: Answered | Mute | Beat | Unable) -> None:
        self._line.sendall(frame(word))

    def die(self) -> None:
        self._line.close()


@pytest.fixture
def address() -> Iterator[str]:
    with short_folder() as folder:
        yield str(folder / "a.sock")


def at_desk(address: str, scenario: Callable[[SocketTransport, list[int]], Awaitable[None]]) -> None:
    """Run a desk's transport on a clock that the test moves."""

    async def run() -> None:
        now = [S]
        listener: socket.socket = open_listener(address)
        transport = SocketTransport([SPEC], lambda: ENV, 1, listener, clock=lambda: now[0])
        try:
            await scenario(transport, now)
        finally:
            transport.close()

    asyncio.run(run())


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not what():
            await asyncio.sleep(0.005)


def ask(transport: SocketTransport, seq: int) -> Answer:
    (answer,) = transport.exchange(Wave("tell", [Ask(AGENT, seq, 0, HALT)], BUDGET_NS))
    return answer


def health(transport: SocketTransport) -> object:
    return transport.status()[AGENT]["health"]


def test_paused_agent_costs_no_time_and_is_asked_again(address: str) -> None:
    async def scenario(transport: SocketTransport, now: list[int]) -> None:
        process = await asyncio.to_thread(FakeProcess, address, 1)
        await asyncio.to_thread(process.catch_up)
        await until(lambda: health(transport) == "ready")

        process.say(Mute(7))  # as it will say to the ask that comes
        paused = ask(transport, 7)
        now[0] += S
        process.say(Answered(8, (), "", 1))
        resumed = ask(transport, 8)

        assert (paused.missed, paused.late_ns) == (True, 0)
        assert (resumed.missed, resumed.fault) == (False, "")
        told = [word for word in await asyncio.to_thread(process.hear) if isinstance(word, Told)]
        assert [(word.seq, word.wants) for word in told] == [(7, True), (8, True)]
        process.die()

    at_desk(address, scenario)


def test_an_agent_that_cannot_be_made_is_named_with_its_reason_although_it_hung_up(address: str) -> None:
    async def scenario(transport: SocketTransport, now: list[int]) -> None:
        process = await asyncio.to_thread(FakeProcess, address, 1)
        await asyncio.to_thread(process.hear)
        process.say(Unable("ConfigError: agent 'risk/main' has no parameter 'fst'"))
        process.die()
        await until(lambda: health(transport) == "away")

        with pytest.raises(UserError, match="no parameter 'fst'"):
            await transport.assembled(5)

    at_desk(address, scenario)


def test_one_that_does_not_even_beat_is_not_waited_for_until_it_does(address: str) -> None:
    async def scenario(transport: SocketTransport, now: list[int]) -> None:
        process = await asyncio.to_thread(FakeProcess, address, 1)
        await asyncio.to_thread(process.catch_up)
        await until(lambda: health(transport) == "ready")

        now[0] += BUDGET_NS + 1  # a stage that waits that long is patient for as long
        assert health(transport) == "silent"
        stuck = ask(transport, 7)
        process.say(Beat())
        await until(lambda: health(transport) == "ready")
        process.say(Answered(8, (), "", 1))
        again = ask(transport, 8)

        assert (stuck.missed, stuck.late_ns) == (True, 0)
        assert (again.missed, again.fault) == (False, "")
        told = [word for word in await asyncio.to_thread(process.hear) if isinstance(word, Told)]
        assert [(word.seq, word.wants) for word in told] == [(7, False), (8, True)]
        process.die()

    at_desk(address, scenario)


def test_a_desk_that_was_busy_itself_listens_before_it_takes_one_for_stuck(address: str) -> None:
    async def scenario(transport: SocketTransport, now: list[int]) -> None:
        process = await asyncio.to_thread(FakeProcess, address, 1)
        await asyncio.to_thread(process.catch_up)
        await until(lambda: health(transport) == "ready")

        now[0] += BUDGET_NS + SILENT_NS
        process.say(Beat())  # lies in the socket: the loop had no turn
        answering = asyncio.get_running_loop().run_in_executor(None, _answer_next, process)
        answer = ask(transport, 7)
        await answering

        assert (answer.missed, answer.fault) == (False, "")
        process.die()

    at_desk(address, scenario)


def _answer_next(process: FakeProcess) -> None:
    told = next(word for word in process.hear() if isinstance(word, Told))
    process.say(Answered(told.seq, (), "", 1))


def test_what_nobody_waits_for_leaves_with_the_next_question(address: str) -> None:
    async def scenario(transport: SocketTransport, now: list[int]) -> None:
        process = await asyncio.to_thread(FakeProcess, address, 1)
        await asyncio.to_thread(process.catch_up)
        await until(lambda: health(transport) == "ready")

        seen = replace(EMPTY_STATE, state_version=7)
        transport.exchange(Wave("state", [Ask(AGENT, 7, 0, seen)], BUDGET_NS))
        transport.rest()
        line = transport.seats[AGENT].line
        assert line is not None
        assert line.unsent > 0
        process.say(Answered(8, (), "", 1))
        ask(transport, 8)
        assert line.unsent == 0

        told = [word for word in await asyncio.to_thread(process.hear) if isinstance(word, Told)]
        assert [(word.seq, word.wants) for word in told] == [(7, False), (8, True)]

        many = 0
        while line.unsent < UNHURRIED:  # much of it is not kept for long
            many += 1
            transport.exchange(Wave("state", [Ask(AGENT, 8 + many, 0, seen)], BUDGET_NS))
        transport.rest()
        assert line.unsent == 0
        process.die()

    at_desk(address, scenario)


def test_a_history_longer_than_the_socket_takes_arrives_whole(address: str) -> None:
    async def scenario(transport: SocketTransport, now: list[int]) -> None:
        long = replace(HALT, why="x" * 4_000_000)
        transport.exchange(Wave("tell", [Ask(AGENT, 3, 0, long)], BUDGET_NS))  # nobody is there yet
        process = await asyncio.to_thread(FakeProcess, address, 1)
        heard = await asyncio.to_thread(process.catch_up)
        await until(lambda: health(transport) == "ready")

        assert [word.seq for word in heard if isinstance(word, Told)] == [3]
        process.die()

    at_desk(address, scenario)


def test_agent_that_dies_of_what_it_is_told_is_kept_out_for_a_while(address: str) -> None:
    async def scenario(transport: SocketTransport, now: list[int]) -> None:
        for incarnation in range(1, MOST_DEATHS + 1):
            process = await asyncio.to_thread(FakeProcess, address, incarnation)
            await asyncio.to_thread(process.hear)
            process.die()  # before it has caught up
            await until(lambda: transport.status()[AGENT]["health"] in ("away", "quarantined"))
        assert health(transport) == "quarantined"
        refused = await asyncio.to_thread(FakeProcess, address, MOST_DEATHS + 1)
        assert await asyncio.to_thread(refused.hear) == []
        refused.die()
        assert ask(transport, 9).missed

        now[0] += int(FIRST_SHUT_S * S)
        taken = await asyncio.to_thread(FakeProcess, address, MOST_DEATHS + 2)
        heard = await asyncio.to_thread(taken.catch_up)
        await until(lambda: health(transport) == "ready")
        assert isinstance(heard[0], Welcome)
        assert [word.seq for word in heard if isinstance(word, Told)] == [9]
        taken.die()

    at_desk(address, scenario)


def test_account_told_before_the_snapshot_is_shown_to_who_begins_with_it(address: str) -> None:
    def state(transport: SocketTransport, seq: int) -> None:
        transport.exchange(Wave("state", [Ask(AGENT, seq, 0, replace(EMPTY_STATE, state_version=seq))], 1))

    async def scenario(transport: SocketTransport, now: list[int]) -> None:
        for seq in (1, 2):
            state(transport, seq)
        transport.seats[AGENT].ask_snapshot()
        transport.seats[AGENT].take_snapshot(b"all of that")
        first = await asyncio.to_thread(FakeProcess, address, 1)
        heard = await asyncio.to_thread(first.catch_up)
        first.die()
        await until(lambda: health(transport) == "away")
        state(transport, 4)
        second = await asyncio.to_thread(FakeProcess, address, 2)
        later = await asyncio.to_thread(second.catch_up)
        second.die()

        welcome, view, *rest = heard
        assert isinstance(welcome, Welcome)
        assert welcome.snapshot == b"all of that"
        assert isinstance(view, View)
        shown = decode(bytes(view.body))
        assert isinstance(shown, StateView)
        assert shown.state_version == 2
        assert [type(word) for word in rest] == [Mark]
        assert [type(word) for word in later] == [Welcome, Told, Mark]  # the newer one is told again

    at_desk(address, scenario)


@pytest.mark.parametrize("says_why", [True, False])
def test_process_that_cannot_use_a_kept_snapshot_is_told_everything(address: str, says_why: bool) -> None:
    """As after a change of the agent's code between two lives of the desk."""

    async def scenario(transport: SocketTransport, now: list[int]) -> None:
        seat = transport.seats[AGENT]
        seat.remember([Ask(AGENT, seq, 0, HALT) for seq in (1, 2, 3)])
        seat.take_kept(2, b"of another code")
        first = await asyncio.to_thread(FakeProcess, address, 1)
        heard = await asyncio.to_thread(first.hear)
        if says_why:
            first.say(Unable("KeyError: 'packed'"))
            await until(lambda: not seat.spared)
        first.die()
        await until(lambda: health(transport) == "away")
        ask(transport, 4)
        second = await asyncio.to_thread(FakeProcess, address, 2)
        again = await asyncio.to_thread(second.catch_up)
        second.die()

        assert isinstance(heard[0], Welcome)
        assert heard[0].snapshot == b"of another code"
        assert isinstance(again[0], Welcome)
        assert again[0].snapshot == b""
        assert [word.seq for word in again if isinstance(word, Told)] == [1, 2, 3, 4]

    at_desk(address, scenario)


class Line:
    """What a seat looks at of its line."""

    def __init__(self, owes: int = 0) -> None:
        self.owes = dict.fromkeys(range(owes), 0)
        self.mulls: dict[int, int] = {}


def seat(*, is_ready: bool, owes: int = 0) -> Seat:
    made = Seat(SPEC, ENV, 1)
    made.line, made.is_ready = Line(owes), is_ready  # type: ignore[assignment]
    return made


def test_death_of_an_idle_agent_is_nobodys_fault() -> None:
    idle = seat(is_ready=True)

    assert [idle.died(0) for _ in range(10)] == [0.0] * 10
    assert idle.deaths == 0


def test_each_further_death_shuts_it_out_for_twice_as_long() -> None:
    asked = seat(is_ready=True, owes=1)

    shut = [asked.died(0) for _ in range(12)]

    assert shut[: MOST_DEATHS - 1] == [0.0] * (MOST_DEATHS - 1)
    assert shut[MOST_DEATHS - 1 : MOST_DEATHS + 2] == [FIRST_SHUT_S, 2 * FIRST_SHUT_S, 4 * FIRST_SHUT_S]
    assert shut[-1] == LONGEST_SHUT_S
    assert asked.shut_until == int(LONGEST_SHUT_S * S)


def test_account_that_an_earlier_desk_told_outlives_the_snapshot_behind_it() -> None:
    made = seat(is_ready=False)
    state = replace(EMPTY_STATE, state_version=7)

    made.remember([Ask(AGENT, 3, 0, state), Ask(AGENT, 3, 0, HALT)])
    made.ask_snapshot()
    made.take_snapshot(b"all of that")

    assert made.told == []
    assert made.view is not None
    assert decode(bytes(made.view.body)) == state


def test_what_waited_until_the_snapshot_was_asked_for_is_told_again_although_it_is_older() -> None:
    """As a fill that nobody is in a hurry to hear: the account it led to is told before it."""
    made = seat(is_ready=True)

    made.remember([Ask(AGENT, 3, 0, HALT), Ask(AGENT, 7, 0, EMPTY_STATE)])
    made.ask_snapshot()
    made.remember([Ask(AGENT, 6, 0, HALT)])
    made.take_snapshot(b"without the one that waited")

    assert [told.seq for told in made.told] == [6]


def test_kept_snapshot_is_taken_where_it_belongs_or_not_at_all() -> None:
    told = [
        Ask(AGENT, 3, 0, HALT),
        Ask(AGENT, 7, 0, EMPTY_STATE),
        Ask(AGENT, 6, 0, HALT),
        Ask(AGENT, 9, 0, HALT),
    ]
    seats = [seat(is_ready=False) for _ in range(3)]
    for made, last_told in zip(seats, (6, 7, 8), strict=True):
        made.remember(told)
        made.take_kept(last_told, b"kept")

    assert [[each.seq for each in made.told] for made in seats] == [[9], [3, 7, 6, 9], [3, 7, 6, 9]]
    assert [made.snapshot for made in seats] == [b"kept", b"", b""]


def test_stranger_garbage_and_a_second_hello_are_told_with_their_reason(address: str) -> None:
    """What a line is closed for goes on record; that a process hung up by itself does not."""
    told: list[tuple[str, str]] = []

    async def run() -> None:
        transport = SocketTransport(
            [SPEC], lambda: ENV, 1, open_listener(address), refused=lambda who, why: told.append((who, why))
        )
        try:
            dial(address).close()
            stranger = dial(address)
            stranger.sendall(frame(Hello("risk/other", 1, 7)))
            await until(lambda: len(told) == 1)
            noise = dial(address)
            noise.sendall(b"GET / HTTP/1.1\r\n\r\n" * 100)
            await until(lambda: len(told) == 2)
            late = FakeProcess(address, 0)
            await until(lambda: len(told) == 3)
            agent = FakeProcess(address, 1)
            await until(lambda: transport.seats[AGENT].line is not None)
            agent._line.sendall(frame(Hello(AGENT, 2, 4711)))
            await until(lambda: len(told) == 4)
            again = FakeProcess(address, 3)
            await until(lambda: transport.seats[AGENT].line is not None)
            again._line.sendall(b"\xff" * 100)
            await until(lambda: len(told) == 5)
            for each in (stranger, noise):
                each.close()
            for process in (late, agent, again):
                process.die()
        finally:
            transport.close()

    asyncio.run(run())
    assert [who for who, _ in told] == [
        "a process that connected", "a process that connected", AGENT, AGENT, AGENT,
    ]  # fmt: skip
    whys = [why for _, why in told]
    assert whys[0].startswith("it is no agent of this desk, it said [Hello(")
    assert whys[2:4] == ["incarnation 0 came, has 0", "it said Hello twice"]
    assert all(whys)
