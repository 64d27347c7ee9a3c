"""Learning, faults and control of the desk."""

from decimal import Decimal

from .wire import Wire


class Outcome(Wire, frozen=True, kw_only=True, tag=70):
    """What a vote or proposal turned out to be worth.

    ``markout_bps_net``: (mid at t+h minus the executable price then) in its
    direction, fees and modelled slippage deducted; ``realised_bps`` of executed
    ones at their close, else 0. ``kind`` vote or proposal; ``score`` and ``conf`` as said.
    """

    round: bytes
    pid: bytes
    agent: str
    kind: str
    symbol: str
    regime: str
    horizon_ms: int
    control: bool
    score: float
    conf: float
    markout_bps_net: float
    sigma_bps: float
    realised_bps: float
    t: int


class WeightUpdate(Wire, frozen=True, kw_only=True, tag=71):
    """A new version of the weights and the outcomes it rests on (``evidence`` first and last seq)."""

    version: int
    weights: tuple[tuple[str, float], ...]
    evidence: tuple[int, int]
    why: str = ""
    calibration: tuple[tuple[str, float, float], ...] = ()  # agent, slope, intercept


class Halt(Wire, frozen=True, kw_only=True, tag=72):
    """A person or a breaker changes what may trade. ``mode``: HALT, REDUCE_ONLY, CANCEL_ONLY, RESUME."""

    scope: str
    mode: str
    by: str
    why: str


class Breaker(Wire, frozen=True, kw_only=True, tag=73):
    """Risk asks not to open before ``until`` (market ns); ``action``: pause, reduce, flatten or cancel."""

    agent: str
    name: str
    action: str
    until: int
    value: str
    cap: str
    symbol: str = ""


class AgentFaulted(Wire, frozen=True, kw_only=True, tag=74):
    """An agent raised or answered nonsense; ``cause`` is the seq it was handling."""

    agent: str
    cause: int
    error: str
    strikes: int
    quarantined: bool


class Snapshot(Wire, frozen=True, kw_only=True, tag=75):
    """Where a snapshot was taken and the hash of the state."""

    seq: int
    state_hash: bytes


class Heartbeat(Wire, frozen=True, kw_only=True, tag=76):
    """A unit is alive; ``offset_ms`` is the gateway's measured clock offset to its venue, -1 unknown."""

    unit: str
    incarnation: int
    epoch: int
    head: bytes
    t: int
    offset_ms: float = -1.0


class Started(Wire, frozen=True, kw_only=True, tag=77):
    """The desk opened (or went on with) a run under an epoch, with the capital it may use."""

    run_id: str
    epoch: int
    quote: str
    capital: Decimal
    t: int


class Shutdown(Wire, frozen=True, kw_only=True, tag=78):
    """The desk was told to stop; ``flatten`` asks it to leave no position."""

    why: str
    flatten: bool
    t: int


class Strain(Wire, frozen=True, kw_only=True, tag=79):
    """How hard something presses on the desk, from ``source`` on; replaces what that source said before.

    ``level`` 0: nothing. 1: the agents in ``resting`` are not asked. 2: only the best symbols open rounds.
    3: only reducing. 4: nothing trades, resting orders are cancelled.
    """

    source: str
    level: int
    why: str = ""
    resting: tuple[str, ...] = ()


class Killed(Wire, frozen=True, kw_only=True, tag=81):
    """What the kill file stops now, as the gateway read it; replaces what was said before.

    ``standing`` are (scope, mode, reason): mode block, cancel or flatten; the scope is ``symbol:A/B`` or the
    whole account.
    """

    standing: tuple[tuple[str, str, str], ...]
    t: int


class LimitChange(Wire, frozen=True, kw_only=True, tag=67):
    """A person changes a limit of a running desk: the ``n``-th change of the run, from 1.

    ``key`` and the values are those of `parley.risk.changes`; ``old`` is what the gateway took to be in
    force. ``by`` asked and gave ``why``, ``confirmed_by`` (empty: nobody had to) was the second key. ``t``:
    wall ns.
    """

    n: int
    key: str
    old: str
    new: str
    by: str
    why: str
    t: int
    confirmed_by: str = ""


class LimitsSet(Wire, frozen=True, kw_only=True, tag=68):
    """What became of the ``n``-th `LimitChange`: ``key`` was ``before`` and is ``value`` from now on.

    ``version`` is the table's. ``refused`` says why nothing changed, empty: it did.
    """

    n: int
    version: int
    key: str
    before: str
    value: str
    refused: str = ""


class ApprovalAsked(Wire, frozen=True, kw_only=True, tag=69):
    """Somebody asked for something that needs a second key; nothing follows from it.

    ``what`` limit or release; ``subject`` and ``value`` say of what. Another key may confirm it before
    ``until`` (wall ns, as ``t``), under the ``token``.
    """

    what: str
    subject: str
    value: str
    by: str
    why: str
    token: str
    until: int
    t: int


class Alarm(Wire, frozen=True, kw_only=True, tag=82):
    """Something a person should look at; nothing follows from it.

    ``about`` doubt: nobody can find out what became of the order ``iid`` in ``symbol``, whose client id is
    the ``subject``; it is the ``n``-th alarm over it. ``about`` refused: a frame or a peer was refused,
    ``subject`` says whose, the ``n``-th since the process began. ``about`` market: the hub is gone and the
    books were not told anew for a while. ``about`` stop: the venue does
    not hold the stop ``iid`` for a position. ``t``: wall ns.
    """

    about: str
    subject: str
    detail: str
    n: int
    t: int
    iid: bytes = b""
    symbol: str = ""


class VenueFault(Wire, frozen=True, kw_only=True, tag=85):
    """Calls of the gateway to its venue failed, ``n`` since it last said so; ``call``, ``why``: of the last.

    It tells of no order: what became of a send, or of a cancel that may have worked, say `VenueReject` and
    `Unknown`, which are counted beside it. ``call`` is a kind of request, or the ``stream``. ``t``: wall ns.
    """

    n: int
    call: str
    why: str
    t: int


class Shed(Wire, frozen=True, kw_only=True, tag=80):
    """A trigger for which no round was opened, so that "why did it not trade?" has an answer."""

    symbol: str
    kind: str
    code: str
    detail: str
    t: int
