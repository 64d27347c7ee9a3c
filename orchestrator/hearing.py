"""Takes what agents say on their own account, and lets them hear what waited, until nobody adds anything.

Problem: an agent may answer anything it hears with an opinion, a wish for an order, a breaker; that may make
others speak. The firm needs it taken at certain points of a cascade, and the cascade has to end.

Not here: answers to questions (`negotiation`), who hears what when (`table`).

Invariant: agents that answer each other for ever are hushed after `MAX_DEPTH` turns, with a strike each.
"""

from collections.abc import Generator, Sequence
from decimal import Decimal

from parley.bus import Answer, Wave
from parley.messages import Analysed, AnalysisReady, Breaker, Opinion, Protect, WeightUpdate

from . import validate
from .account import Account
from .attribution import Attribution
from .dispatch import Dispatch
from .negotiation import Negotiation
from .policy import GroupOut
from .table import DESK, Said, Table

MAX_DEPTH = 16  # how often agents may answer each other before the next message is admitted
Flow = Generator[Wave | GroupOut, Sequence[Answer], None]


class Hearing:
    """Empties the table's inbox; between cascades it keeps only the analyses nobody has looked at."""

    def __init__(
        self,
        table: Table,
        account: Account,
        negotiation: Negotiation,
        dispatch: Dispatch,
        attribution: Attribution,
    ) -> None:
        self._table = table
        self._account = account
        self._negotiation = negotiation
        self._dispatch = dispatch
        self._attribution = attribution
        self._ready: dict[tuple[str, str], AnalysisReady] = {}  # one round per agent and symbol

    def analyses(self) -> list[AnalysisReady]:
        """Take the analyses that ask for a round, in the order of agent and symbol."""
        ready, self._ready = self._ready, {}
        return [analysis for _, analysis in sorted(ready.items())]

    def standing(self) -> Flow:
        """Take what agents said on their own account."""
        table = self._table
        for _ in range(MAX_DEPTH):
            inbox, table.inbox = table.inbox, []
            if not inbox:
                return
            wanted: list[Said] = []
            opinions: list[tuple[int, Opinion]] = []
            for said in inbox:
                match said.message:
                    case Opinion() as opinion:
                        code = validate.opinion(opinion, table.env)
                        if code:
                            table.reject(said.agent, said.seq, code, b"", "Opinion")
                            continue
                        self._negotiation.opinions[said.agent, opinion.symbol] = opinion
                        self._attribution.on_opinion(opinion)
                        opinions.append((said.seq, opinion))
                    case WeightUpdate() as update:
                        self._negotiation.weights_version = update.version
                        self._negotiation.weights = dict(update.weights)
                    case AnalysisReady() as ready:
                        self._note(said, ready)
                    case Protect() as word:
                        if code := validate.protect(word, table.env):
                            table.reject(said.agent, said.seq, code, b"", "Protect")
                        else:
                            self._tighten(word)
                    case Analysed(ready=analyses, faults=faults):
                        if faults:
                            table.strike(said.agent, said.seq, "; ".join(faults))
                        for ready in analyses:
                            self._note(said, ready)
                    case Breaker() as breaker:
                        self._break(said, breaker)
                        yield from self._dispatch.show()
                    case _:
                        wanted.append(said)
            for seq, opinion in opinions:
                table.tell_later(opinion, seq=seq)
            if wanted:
                yield from self._dispatch.requests(wanted)
        self._hush()

    def out(self) -> Flow:
        """Let everybody hear what waited, and take what is said to it."""
        for _ in range(MAX_DEPTH):
            yield from self.standing()
            if not self._table.has_more:
                return
            yield from self._table.tell_rest()
        self._hush()

    def stop_if_fallen(self, most: Decimal, cause: int) -> Flow:
        """Trip the last breaker of all: the desk's own, for when those whose task it is are dead."""
        breaker = self._account.fallen(most, DESK)
        if breaker is None:
            return
        seq = self._table.emit(breaker, sender=DESK, cause=cause)
        self._account.breaker(breaker)
        self._dispatch.cancel_all("", seq)
        yield from self._dispatch.show()

    def _note(self, said: Said, ready: AnalysisReady) -> None:
        table = self._table
        if ready.agent != said.agent:
            table.reject(said.agent, said.seq, "foreign_name", b"", "AnalysisReady")
        elif not {ready.symbol, *(ready.symbols or (ready.symbol,))} <= set(table.env.instruments):
            table.reject(said.agent, said.seq, "unknown_symbol", b"", "AnalysisReady")
        else:
            self._ready[ready.agent, ready.symbol] = ready

    def _tighten(self, word: Protect) -> None:
        account = self._account
        held = account.ledger.holding(word.agent, account.instruments[word.symbol].base)
        if account.is_pooled:
            own = (h for h in account.holdings() if (h.agent, h.symbol) == (word.agent, word.symbol))
            held = next(own, None)
        if account.levels.tighten(word, held):
            account.touch()

    def _break(self, said: Said, breaker: Breaker) -> None:
        self._account.breaker(breaker)
        if breaker.action in ("cancel", "flatten"):
            self._dispatch.cancel_all(breaker.symbol, said.seq)

    def _hush(self) -> None:
        table = self._table
        inbox, table.inbox = table.inbox, []
        for said in inbox:
            table.reject(said.agent, said.seq, "endless_talk", b"", type(said.message).__name__)
