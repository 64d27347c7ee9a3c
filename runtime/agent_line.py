"""The desk's end of the line to one agent's process, and the agent's seat, which outlives the process.

Problem: a desk writes to many agents and waits for few, so a line never blocks: what the socket does not
take at once is kept, up to a bound. A seat keeps what a new process needs to become the same agent: the
last snapshot and what was told since.

Not here: who is waited for (`socket_transport`), what the words mean (`wave_frames`).

Invariant: frames leave whole and in order, or the line is closed.
"""

import socket
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from parley.agent import AgentEnv, AgentSpec
from parley.bus import Answer, Ask
from parley.errors import ProtocolError
from parley.messages import StateView, decode, encode
from runtime.wave_frames import QUESTIONS, Cutter, FromAgent, SnapshotPlease, Told, frame, from_agent

MAX_UNSENT: Final = 256 * 1024 * 1024
_CHUNK: Final = 1 << 16
# Of lives that ended before they answered anything; a fourth would end like them.
MOST_DEATHS: Final = 3
FIRST_SHUT_S: Final = 1.0
LONGEST_SHUT_S: Final = 64.0
_S: Final = 1_000_000_000
SILENT_NS: Final = _S  # ten beats


class Asked(NamedTuple):
    """What was told before a snapshot was asked for: how many frames that are still kept, and which seqs."""

    frames: int
    last_told: int
    most_told: int


class Post:
    """One message on its way to many agents: encoded once, and framed once for each way of telling it."""

    __slots__ = ("_asked", "_unasked", "is_question", "is_state", "quiet")

    def __init__(self, ask: Ask) -> None:
        self.quiet = Told(ask.seq, ask.now, ask.nth, False, msgspec.Raw(encode(ask.message)))
        self.is_state = type(ask.message) is StateView
        self.is_question = type(ask.message) in QUESTIONS
        self._asked = self._unasked = b""

    def asked(self) -> bytes:
        """Return the frame for whoever shall answer."""
        if not self._asked:
            quiet = self.quiet
            self._asked = frame(Told(quiet.seq, quiet.now, quiet.nth, True, quiet.body))
        return self._asked

    def unasked(self) -> bytes:
        """Return the frame for whoever shall only know."""
        if not self._unasked:
            self._unasked = frame(self.quiet)
        return self._unasked


class AgentLine:
    """One connection: bytes out without waiting, words in as they come."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.fd = connection.fileno()
        self.owes: dict[int, int] = {}  # seq of what it has not answered, monotonic ns when it was asked
        self.mulls: dict[int, int] = {}  # the same of news put to one from outside, which nobody waits for
        self.frames_out = 0
        self.words_in = 0
        self.is_behind = False  # the socket did not take all it was given
        self._cutter = Cutter()
        self._unsent = bytearray()

    @property
    def unsent(self) -> int:
        """Number of bytes that have not left."""
        return len(self._unsent)

    def queue(self, frame: bytes) -> None:
        """Add a frame to what leaves with the next `flush`."""
        self._unsent += frame
        self.frames_out += 1

    def flush(self) -> None:
        """Write what the socket takes now.

        Raises
        ------
        OSError
            When the line is broken.
        ProtocolError
            When its process has not read for so long that too much waits.
        """
        if not self._unsent:
            self.is_behind = False
            return
        try:
            sent = self.connection.send(self._unsent)
        except BlockingIOError:
            sent = 0
        del self._unsent[:sent]
        self.is_behind = bool(self._unsent)
        if len(self._unsent) > MAX_UNSENT:
            raise ProtocolError(f"more than {MAX_UNSENT} bytes wait for an agent that does not read")

    def read(self) -> list[FromAgent]:
        """Return the words that are there now; none when nothing is.

        Raises
        ------
        ConnectionError
            When the process closed the line.
        OSError, ProtocolError
            When it broke, or says what no agent says.
        """
        try:
            data = self.connection.recv(_CHUNK)
        except BlockingIOError:
            return []
        if not data:
            raise ConnectionError("its process closed the line")
        words = [from_agent(raw) for raw in self._cutter.feed(data)]
        self.words_in += len(words)
        return words

    def close(self) -> None:
        """End the line."""
        self.connection.close()


class Seat:
    """One agent as the desk knows it, whatever happens to its process."""

    def __init__(self, spec: AgentSpec, env: AgentEnv, seed: int) -> None:
        self.spec = spec
        self.env = env
        self.seed = seed
        self.hears_state = "StateView" in spec.subscriptions
        self.nothing = Answer(spec.id, ())  # what most news is answered with
        self.line: AgentLine | None = None
        self.is_ready = False  # has caught up with what it missed
        self.marks = 0
        self.incarnation = 0
        self.pid = 0
        self.lives = 0
        self.lost_at = 0  # monotonic ns
        self.heard_at = 0  # monotonic ns of the last word from its process
        self.missed = 0
        self.why = ""
        self.snapshot = b""
        self.told: list[Told] = []  # since the snapshot; wants no answers
        self.view: Told | None = None  # the account's last state; no snapshot of an agent holds it
        self.last_told = 0  # seq of the last message told, but for the account's states
        self.most_told = 0  # the highest seq of anything told
        self.asked: Asked | None = None  # a snapshot it has not given yet
        self.spared: list[
            Told
        ] = []  # what a kept snapshot stands for, until a process has shown that it does
        self.deaths = 0  # in a row, while it caught up or was being waited for
        self.shut_until = 0  # monotonic ns; nobody is seated before

    def died(self, now: int) -> float:
        """Count that its process ended; return for how many seconds nobody is seated, usually 0.

        Only the end of one that was catching up or owed an answer counts: what it was told may be what it
        died of, and the next life is told the same.
        """
        if self.line is None or (self.is_ready and not self.line.owes and not self.line.mulls):
            return 0.0
        self.deaths += 1
        if self.deaths < MOST_DEATHS:
            return 0.0
        shut_s = min(FIRST_SHUT_S * 2.0 ** (self.deaths - MOST_DEATHS), LONGEST_SHUT_S)
        self.shut_until = now + int(shut_s * _S)
        return shut_s

    def health(self, now: int) -> str:
        """Name its state in a word."""
        if self.line is not None:
            if not self.is_ready:
                return "recovering"
            return "silent" if self.is_silent(now, SILENT_NS) else "ready"
        return "quarantined" if now < self.shut_until else "away"

    def is_silent(self, now: int, patience: int) -> bool:
        """Whether a process that owes nothing has not even said that it lives: it is stopped, or stuck."""
        line = self.line
        return line is not None and not line.owes and now - self.heard_at > patience

    def can_answer(self, since: int) -> bool:
        """Whether it is worth waiting for: it is there, has caught up, owes nothing from before."""
        if self.line is None or not self.is_ready:
            return False
        oldest = next(iter(self.line.owes.values()), since)
        return oldest >= since

    def note(self, quiet: Told, is_state: bool) -> None:
        """Keep what this or an earlier life of the desk told it: the account's state, or another message."""
        seq = quiet.seq
        self.told.append(quiet)
        if seq > self.most_told:
            self.most_told = seq
        if is_state:
            self.view = quiet
        else:
            self.last_told = seq

    def remember(self, asks: Sequence[Ask]) -> None:
        """Keep what an agent was told by an earlier life of the desk."""
        for ask in asks:
            post = Post(ask)
            self.note(post.quiet, post.is_state)

    def ask_snapshot(self) -> SnapshotPlease:
        """Ask for the state behind all it was told so far."""
        self.asked = Asked(len(self.told), self.last_told, self.most_told)
        return SnapshotPlease(self.last_told)

    def take_snapshot(self, state: bytes) -> None:
        """Take the state that was asked for; what led there need not be told again.

        By place, not by seq: what can wait is told later, and has a lower seq than what was told before it.
        """
        if self.asked is not None:
            del self.told[: self.asked.frames]
        self.snapshot, self.asked = state, None

    def take_kept(self, last_told: int, state: bytes) -> None:
        """Take a snapshot of an earlier life of the desk, unless what was remembered does not lead there."""
        for n, told in enumerate(self.told):
            if told.seq == last_told and type(decode(bytes(told.body))) is not StateView:
                self.spared = self.told[: n + 1]
                self.asked = Asked(n + 1, last_told, 0)
                self.take_snapshot(state)
                return

    def tell_all(self) -> bool:
        """Do without the snapshot of an earlier life of the desk; False when none is in use."""
        if not self.spared:
            return False
        self.told, self.spared, self.snapshot = [*self.spared, *self.told], [], b""
        return True

    @property
    def is_view_told(self) -> bool:
        """Whether the account's last state is among what has to be told again."""
        return any(each is self.view for each in self.told)
