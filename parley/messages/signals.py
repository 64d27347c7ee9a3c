"""Standing opinions and votes: what signal agents say about symbols and proposals."""

from .negotiation import Proposal
from .wire import Wire


class Opinion(Wire, frozen=True, kw_only=True, tag=20):
    """What an agent thinks of a symbol until ``valid_to``: a signal.

    ``direction`` in [-1, 1], ``conf`` in [0, 1]; times are market ns; ``why`` is a
    code and at most 256 bytes of text; ``regime`` names the market regime seen;
    ``evidence_ref`` points at what it rests on (a place in the journal, a stored response).
    """

    oid: bytes
    agent: str
    symbol: str
    direction: float
    conf: float
    horizon_ms: int
    valid_from: int
    valid_to: int
    model_version: str
    why: str
    evidence_ref: str = ""
    regime: str = ""


class AnalysisReady(Wire, frozen=True, kw_only=True, tag=21):
    """An agent finished an analysis outside any round and asks for one on ``symbol``.

    ``symbols`` are all the symbols it may want to trade (a cycle's three).
    """

    agent: str
    symbol: str
    tf_ns: int
    t_candle: int
    result_hash: bytes
    symbols: tuple[str, ...] = ()


class Analysed(Wire, frozen=True, kw_only=True, tag=24):
    """What an agent from outside has to say to the news, whenever it is done with them (settled 12).

    ``ready`` asks for a round each; ``faults`` are what its own code raised, a line each: nothing is proposed
    there, and the agent gets a strike. ``dropped`` are orders it wanted and nobody could place here, a line
    each, pair first: for who asks why there is no trade, and nothing follows from them.
    """

    agent: str
    ready: tuple[AnalysisReady, ...] = ()
    faults: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


class Vote(Wire, frozen=True, kw_only=True, tag=23):
    """A judgement of one proposal: ``score`` in [-1, 1] times conviction ``conf`` in [0, 1]."""

    pid: bytes
    agent: str
    score: float
    conf: float
    abstain: bool = False
    why: str = ""


class Ballot(Wire, frozen=True, kw_only=True, tag=22):
    """Asks for votes on proposals (``stage`` vote), or to rank them under the votes cast (``stage`` rank)."""

    round: bytes
    stage: str
    proposals: tuple[Proposal, ...]
    votes: tuple[Vote, ...]
    weights_version: int
    t: int
    reply_by: int = 0
    regime: str = ""
