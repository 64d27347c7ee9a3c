"""Carries waves to agents in processes of their own and brings their answers, within each stage's budget.

Problem: a wave must reach some agents, and the round goes on with what came back in time. The desk has
nothing else to decide meanwhile, so `exchange` writes all frames, then waits in one `poll` for the lines it
needs. Between cascades the event loop watches the same lines: newcomers, farewells, late answers, snapshots.

An agent from outside (`AgentSpec.outside`) takes its time over news: they are put to it without waiting, and
what it says to them comes between cascades, as one `Analysed`.

An agent that is not there, still catches up, or owes an answer is told everything and waited for by nobody:
its asks are `missed` at once. What it was told since its last snapshot is kept, so its next process is
welcomed with that snapshot and these messages, and is then what it would be had it never died. One that
dies of what it is told again and again is in quarantine for a while: nobody is seated for it.

Not here: starting processes (`actors`), judging silence (the table), words and lines (`wave_frames`,
`agent_line`).

Invariant: the frames of an agent leave in the order of their asks, on the line of its highest incarnation.
"""

import asyncio
import logging
import select
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from parley.agent import AgentEnv, AgentSpec
from parley.bus import Answer, Wave
from parley.errors import ConfigError, Fatal, ProtocolError, UserError
from parley.messages import Analysed, decode
from runtime.agent_line import SILENT_NS, AgentLine, Asked, Post, Seat
from runtime.agent_socket import admit
from runtime.wave_frames import (
    VERSION,
    Answered,
    FromAgent,
    Hello,
    Leave,
    Mark,
    Mute,
    SnapshotIs,
    Unable,
    View,
    Welcome,
    frame,
)

log = logging.getLogger(__name__)

PATIENCE_NS: Final = 10_000_000_000  # for a stage without a budget
UNHURRIED: Final = 1 << 15  # bytes that may wait for an agent's next question
SNAPSHOT_EVERY: Final = 1024  # frames; a new process has to hear that many before it is asked again
_MS: Final = 1_000_000
_MISTAKES: Final = (
    f"{ConfigError.__name__}: ",
    f"{UserError.__name__}: ",
)  # how an agent's process says that its settings are wrong


_LONGEST_WHY: Final = 300


def _not_told(who: str, why: str) -> None:
    pass


class SocketTransport:
    """The desk's end of all its agents; lives on the desk's loop and thread.

    ``clock`` gives monotonic ns, ``env_of`` what each agent is told of the universe; ``overheard`` takes what
    agents from outside say to news, ``keep`` their snapshots; ``refused`` who was hung up on because of what
    came over the line, and why.
    """

    def __init__(
        self,
        specs: Sequence[AgentSpec],
        env_of: Callable[[], AgentEnv],
        seed: int,
        listener: socket.socket,
        token: bytes = b"",
        clock: Callable[[], int] = time.monotonic_ns,
        overheard: Callable[[Analysed], None] | None = None,
        keep: Callable[[str, Asked, bytes], None] | None = None,
        refused: Callable[[str, str], None] = _not_told,
    ) -> None:
        self.seats: dict[str, Seat] = {spec.id: Seat(spec, env_of(), seed) for spec in specs}
        self._listener = listener
        self._token = token
        self._clock = clock
        self._overheard = overheard
        self._keep = keep
        self._refused = refused
        self._poll = select.poll()
        self._by_fd: dict[int, Seat] = {}
        self._posts: dict[int, Post] = {}  # by seq, of one cascade: one message goes to many
        self._strangers: dict[int, AgentLine] = {}
        self._loop = asyncio.get_running_loop()
        self._assembled = asyncio.Event()
        listener.setblocking(False)
        self._loop.add_reader(listener.fileno(), self._accept)

    # ------------------------------------------------------------------ waves

    def exchange(self, wave: Wave) -> Sequence[Answer]:
        """Put the asks of a wave to their agents and give one answer per ask, in the asks' order."""
        waiting: dict[tuple[str, int], int] = {}
        found: dict[int, Answer] = {}
        now = self._clock()
        patience = max(SILENT_NS, wave.budget_ns or PATIENCE_NS)  # one that starves is not stuck
        posts = self._posts
        asked: dict[str, Seat] = {}
        for at, ask in enumerate(wave.asks):
            post = posts.get(ask.seq)
            if post is None:
                post = posts[ask.seq] = Post(ask)
            seat = self.seats[ask.agent]
            if post.is_state and not seat.hears_state:
                self._tell(seat, post, False)
                found[at] = seat.nothing
            elif seat.spec.outside and not post.is_question:
                is_told = self._tell(seat, post, seat.is_ready, now, is_news=True)
                asked[ask.agent] = seat
                found[at] = Answer(ask.agent, (), missed=not is_told)
            elif self._tell(seat, post, not self._is_stuck(seat, now, patience), now):
                waiting[ask.agent, ask.seq] = at
                asked[ask.agent] = seat
            else:
                seat.missed += 1
                found[at] = Answer(ask.agent, (), missed=True)
        for agent, seat in asked.items():  # what one agent hears leaves in one piece: it is woken once
            if seat.line is None or not self._flush(seat, seat.line):
                for key in [key for key in waiting if key[0] == agent]:
                    found[waiting.pop(key)] = Answer(agent, (), missed=True)
                    seat.missed += 1
        if waiting:
            self._wait(waiting, found, wave, now + (wave.budget_ns or PATIENCE_NS))
        return [found[at] for at in range(len(wave.asks))]

    def _is_stuck(self, seat: Seat, now: int, patience: int) -> bool:
        """Whether an agent has said nothing for so long that waiting for it is in vain."""
        if not seat.is_silent(now, patience):
            return False
        if seat.line is not None:  # a desk that was busy itself has not listened
            self._read(seat, seat.line)
        return seat.is_silent(now, patience)

    def rest(self) -> None:
        """The cascade is over: ask for snapshots that are due, and send what became much.

        What nobody waits for otherwise leaves with the agent's next question, which wakes it once for both.
        """
        self._posts.clear()
        for seat in self.seats.values():
            line = seat.line
            if line is None:
                continue
            if seat.is_ready and seat.asked is None and len(seat.told) >= SNAPSHOT_EVERY:
                line.queue(frame(seat.ask_snapshot()))
                self._flush(seat, line)
            elif line.unsent >= UNHURRIED:
                self._flush(seat, line)

    def _tell(self, seat: Seat, post: Post, wants: bool, now: int = 0, *, is_news: bool = False) -> bool:
        """Queue one message; whether an answer is worth waiting for."""
        seat.note(post.quiet, post.is_state)
        line = seat.line
        if line is None:
            return False
        if not wants or not (is_news or seat.can_answer(now)):
            line.queue(post.unasked())
            return False
        line.queue(post.asked())
        (line.mulls if is_news else line.owes)[post.quiet.seq] = now
        return True

    @property
    def is_mulling(self) -> bool:
        """Whether an agent from outside is still over what it was told, or is not there to hear it."""
        return any(
            seat.line is None or not seat.is_ready or bool(seat.line.mulls)
            for seat in self.seats.values()
            if seat.spec.outside
        )

    def give_up(self) -> list[str]:
        """Wait no longer for what agents mull over; give the names of those that are waited for."""
        found = []
        for agent, seat in self.seats.items():
            if seat.spec.outside and (seat.line is None or not seat.is_ready or seat.line.mulls):
                found.append(agent)
                if seat.line is not None:
                    seat.line.mulls.clear()
        return found

    def _wait(
        self, waiting: dict[tuple[str, int], int], found: dict[int, Answer], wave: Wave, deadline: int
    ) -> None:
        while waiting:
            left = deadline - self._clock()
            ready = self._poll.poll(max(0.0, left / _MS)) if left > 0 else []
            if not ready:
                break
            for fd, _ in ready:
                seat = self._by_fd.get(fd)
                line = seat.line if seat else None
                if seat is None or line is None:
                    continue
                for word in self._read(seat, line):
                    if isinstance(word, Answered | Mute):
                        at = waiting.pop((seat.spec.id, word.seq), None)
                        if at is not None:
                            found[at] = _answer(seat, word)
                if fd not in self._by_fd:  # it ended: nothing of it will come
                    for key in [key for key in waiting if key[0] == seat.spec.id]:
                        found[waiting.pop(key)] = Answer(seat.spec.id, (), missed=True)
        for (agent, _), at in waiting.items():
            self.seats[agent].missed += 1
            found[at] = Answer(agent, (), late_ns=wave.budget_ns, missed=True)

    # ------------------------------------------------------------------ lines

    def _read(self, seat: Seat, line: AgentLine) -> list[FromAgent]:
        """Read what a seated agent said and deal with all but its answers, which are returned."""
        try:
            words = line.read()
        except (OSError, ProtocolError) as error:
            if isinstance(error, ProtocolError):
                self._refused(seat.spec.id, str(error))
            self._lose(seat, line, str(error))
            return []
        if words:
            seat.heard_at = self._clock()
        for word in words:
            match word:
                case Answered(seq=seq) | Mute(seq=seq):
                    seat.deaths = 0
                    if line.mulls.pop(seq, 0):
                        self._hear_out(seat, word)
                    line.owes.pop(seq, None)
                case Mark(number=number) if number == seat.marks:
                    self._greet(seat)
                case SnapshotIs(state=state) if seat.asked is not None:
                    if self._keep is not None and seat.spec.outside:
                        self._keep(seat.spec.id, seat.asked, state)
                    seat.take_snapshot(state)
                case Unable(why=why):
                    log.warning("agent_unable agent=%s why=%s", seat.spec.id, why)
                    if seat.tell_all():  # as after a change of its code; it dials again
                        continue
                    seat.why = why
                    self._look_round()
                case Hello():
                    self._refused(seat.spec.id, "it said Hello twice")
                    self._lose(seat, line, "it said Hello twice")
        return words

    def _hear_out(self, seat: Seat, word: Answered | Mute) -> None:
        """Pass on what an agent from outside said to news; what only holds it up is a fault of its own."""
        answer = _answer(seat, word)
        me = seat.spec.id
        said = [m for m in answer.messages if isinstance(m, Analysed) and m.agent == me]
        faults = (answer.fault,) if answer.fault else ()
        if len(said) != len(answer.messages):
            names = [type(message).__name__ for message in answer.messages]
            faults = (*faults, f"an agent from outside says its own Analysed to news, this one said {names}")
        if faults:
            said.append(Analysed(agent=me, faults=faults))
        if self._overheard is not None:
            for each in said:
                self._overheard(each)

    def _greet(self, seat: Seat) -> None:
        """It has caught up: from now on it is asked."""
        seat.is_ready, seat.spared = True, []
        if seat.lives > 1:
            log.warning(
                "agent_back agent=%s incarnation=%d pid=%d away_ms=%d",
                seat.spec.id, seat.incarnation, seat.pid, (self._clock() - seat.lost_at) // _MS,
            )  # fmt: skip
        self._look_round()

    def _flush(self, seat: Seat, line: AgentLine) -> bool:
        was_behind = line.is_behind
        try:
            line.flush()
        except (OSError, ProtocolError) as error:
            self._lose(seat, line, str(error))
            return False
        if line.is_behind and not was_behind:
            self._loop.add_writer(line.fd, self._drain, seat, line)
        return True

    def _drain(self, seat: Seat, line: AgentLine) -> None:
        """The socket takes bytes again: a long history leaves in pieces."""
        try:
            line.flush()
        except (OSError, ProtocolError) as error:
            self._lose(seat, line, str(error))
            return
        if not line.is_behind:
            self._loop.remove_writer(line.fd)

    def _lose(self, seat: Seat, line: AgentLine, why: str) -> None:
        """Its line is of no use any more: whoever dials next has to be another life of it."""
        shut_s = seat.died(self._clock()) if seat.line is line else 0.0
        self._let_go(seat, line, why)
        if shut_s:
            log.warning("agent_quarantined agent=%s deaths=%d for_s=%g", seat.spec.id, seat.deaths, shut_s)

    def _let_go(self, seat: Seat, line: AgentLine, why: str) -> None:
        self._unwatch(line)
        if seat.line is line:
            seat.line, seat.is_ready, seat.asked = None, False, None
            seat.why = seat.why or why  # that it cannot be made says more than that it hung up then
            seat.tell_all()  # what it died of may be the kept snapshot
            seat.lost_at = self._clock()
            log.warning("agent_lost agent=%s incarnation=%d why=%s", seat.spec.id, seat.incarnation, why)

    def _unwatch(self, line: AgentLine) -> None:
        self._loop.remove_reader(line.fd)
        self._loop.remove_writer(line.fd)
        if self._by_fd.pop(line.fd, None) is not None:
            self._poll.unregister(line.fd)
        self._strangers.pop(line.fd, None)
        line.close()

    # ------------------------------------------------------------------ newcomers

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        try:
            admit(connection, self._token)
        except ConnectionError as error:
            self._turn_away("a process that connected", str(error))
            connection.close()
            return
        line = AgentLine(connection)
        self._strangers[line.fd] = line
        self._loop.add_reader(line.fd, self._meet, line)

    def _meet(self, line: AgentLine) -> None:
        """Hear who a stranger is, and seat it."""
        try:
            words = line.read()
        except (OSError, ProtocolError) as error:
            if isinstance(error, ProtocolError):
                self._turn_away("a process that connected", str(error))
            self._unwatch(line)
            return
        if not words:
            return
        hello = words[0]
        seat = self.seats.get(hello.agent) if isinstance(hello, Hello) else None
        if not isinstance(hello, Hello) or seat is None or len(words) > 1 or hello.version != VERSION:
            self._turn_away("a process that connected", f"it is no agent of this desk, it said {words[:1]!r}")
            self._unwatch(line)
        elif hello.incarnation <= seat.incarnation:
            self._turn_away(hello.agent, f"incarnation {hello.incarnation} came, has {seat.incarnation}")
            self._unwatch(line)
        elif self._clock() < seat.shut_until:
            self._unwatch(line)  # it dials again
        else:
            self._seat(seat, line, hello)

    def _turn_away(self, who: str, why: str) -> None:
        log.warning("agent_refused agent=%s why=%s", who, why)
        self._refused(who, why[:_LONGEST_WHY])

    def _seat(self, seat: Seat, line: AgentLine, hello: Hello) -> None:
        if seat.line is not None:
            self._let_go(seat, seat.line, f"incarnation {hello.incarnation} came")
        self._strangers.pop(line.fd, None)
        self._loop.remove_reader(line.fd)
        self._loop.add_reader(line.fd, self._hear, seat, line)
        self._poll.register(line.fd, select.POLLIN)
        self._by_fd[line.fd] = seat
        seat.line, seat.incarnation, seat.pid, seat.is_ready, seat.why = (
            line, hello.incarnation, hello.pid, False, "",
        )  # fmt: skip
        seat.lives += 1
        seat.marks += 1
        seat.heard_at = self._clock()
        line.queue(frame(Welcome(seat.spec, seat.env, seat.seed, seat.snapshot)))
        if seat.view is not None and not seat.is_view_told:
            line.queue(frame(View(seat.view.body)))
        for quiet in seat.told:
            line.queue(frame(quiet))
        line.queue(frame(Mark(seat.marks)))
        self._flush(seat, line)

    def _hear(self, seat: Seat, line: AgentLine) -> None:
        """Between cascades: late answers are over, the rest is dealt with."""
        self._read(seat, line)

    # ------------------------------------------------------------------ life

    def _look_round(self) -> None:
        if all(seat.is_ready or seat.why or self._may_come_later(seat) for seat in self.seats.values()):
            self._assembled.set()

    def _may_come_later(self, seat: Seat) -> bool:
        """Whether the desk goes on without one: it has to follow a past in its own time."""
        return seat.spec.outside and bool(seat.told)

    async def assembled(self, timeout_s: float) -> None:
        """Wait until every agent has come, but for one from outside that has a past to follow.

        Raises
        ------
        Fatal
            When one cannot be what it should, or does not come in time.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._assembled.wait()
        except TimeoutError:
            absent = [
                agent
                for agent, seat in self.seats.items()
                if not seat.is_ready and not self._may_come_later(seat)
            ]
            raise Fatal(f"within {timeout_s:.0f} s these agents did not come: {', '.join(absent)}") from None
        away = {
            agent: seat.why
            for agent, seat in self.seats.items()
            if not seat.is_ready and not (self._may_come_later(seat) and not seat.why)
        }
        unable = [f"{agent}: {why}" for agent, why in away.items()]
        if unable:
            mistaken = all(why.startswith(_MISTAKES) for why in away.values())
            kind = UserError if mistaken else Fatal
            raise kind(f"an agent cannot be made: {'; '.join(unable)}")

    def status(self) -> Mapping[str, Mapping[str, object]]:
        """Say of each agent whether it is there, since which incarnation, and how much it said and missed."""
        return {
            agent: {
                "pid": seat.pid, "incarnation": seat.incarnation, "restarts": max(0, seat.lives - 1),
                "health": seat.health(self._clock()),
                "missed": seat.missed, "why": seat.why,
                "frames_out": seat.line.frames_out if seat.line else 0,
                "frames_in": seat.line.words_in if seat.line else 0,
            }
            for agent, seat in self.seats.items()
        }  # fmt: skip

    def close(self) -> None:
        """Tell every agent that the desk ends, and hang up."""
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()
        for seat in self.seats.values():
            if (line := seat.line) is not None:
                line.queue(frame(Leave()))
                self._flush(seat, line)
                if seat.line is line:
                    self._unwatch(line)
                    seat.line, seat.is_ready = None, False
        for line in list(self._strangers.values()):
            self._unwatch(line)


def _answer(seat: Seat, word: Answered | Mute) -> Answer:
    agent = seat.spec.id
    if isinstance(word, Mute):
        seat.missed += 1
        return Answer(agent, (), missed=True)
    try:
        return Answer(agent, tuple(decode(bytes(raw)) for raw in word.messages), word.fault)
    except msgspec.MsgspecError as error:
        return Answer(agent, (), f"{type(error).__name__}: {error}")
