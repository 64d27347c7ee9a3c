"""Collects the facts the gate decides on: one place that knows where each of them comes from.

Counters are folds over what was sent, in market time, so that a replay counts the
same. What is not known stays None, and the gate refuses on it.
"""

from collections import deque
from collections.abc import Mapping
from decimal import Decimal

from msgspec.structs import replace

from parley.instruments import ZERO, coin_of, plain, symbol_of
from parley.messages import Heartbeat, Intent, Reservation, Verdict
from parley.risk.case import Counters, GateFacts, Recent
from parley.risk.limits import Limits
from parley.risk.loads import BotUse
from parley.risk.margin import tiers_by_asset
from parley.view import FirmView

from .market import Market
from .standings import DeskView, whole_of
from .table import Table

SECOND_NS = 1_000_000_000
REPEAT_NS = 600 * SECOND_NS
KEEP = 256


class Gatekeeper:
    """Gives the gate its facts; mutable counters, owned by the firm."""

    def __init__(self, table: Table, market: Market, limits: Limits) -> None:
        self.limits = limits
        self._table = table
        self._market = market
        self._sent: deque[tuple[str, Recent]] = deque(maxlen=KEEP)
        self._heard: int | None = None
        self._offset_ms: float | None = None
        self._contracts = tiers_by_asset(table.env.instruments)

    def heartbeat(self, beat: Heartbeat) -> None:
        """Note that the gateway is alive and how far its venue's clock is off."""
        self._heard = self._table.steady
        self._offset_ms = beat.offset_ms if beat.offset_ms >= 0 else None

    @property
    def is_gateway_alive(self) -> bool:
        """Whether the gateway said so lately."""
        if self._heard is None:
            return False
        return (self._table.steady - self._heard) / 1e6 <= self._table.config.heartbeat_limit_ms

    def sent(self, order: Intent, agent: str, now: int) -> None:
        """Count an order that passed."""
        is_stop = order.trigger is not None
        self._sent.append(
            (agent, Recent(order.symbol, order.side, order.qty, order.px, now, is_stop, order.pid))
        )

    def facts(
        self,
        order: Intent,
        agent: str,
        view: FirmView,
        verdict: Verdict | None,
        reservation: Reservation | None,
        beside: tuple[Reservation, ...] | None = None,
    ) -> GateFacts:
        """Collect what is known about an order at this moment.

        ``beside``: what other parts of the same decision reserve, which leave with it and are in no view yet;
        None: it is no part.
        """
        now = self._table.now
        last_1s = last_10s = own_1s = len(beside or ())
        repeats, places = 0, dict[tuple[bytes, str], str]()
        own: list[Recent] = []
        for its, sent in reversed(self._sent):
            before = now - sent.t
            if before >= REPEAT_NS:
                break
            last_1s += before < SECOND_NS
            last_10s += before < 10 * SECOND_NS
            own_1s += its == agent and before < SECOND_NS
            # two holders leaving at once send equal orders: only an agent's own order can be a repetition
            if its == agent and not sent.is_stop:
                own.append(sent)
                # the parts of one decision are one execution
                pair = plain(sent.symbol)
                place = places.setdefault((sent.pid, pair), sent.symbol)
                repeats += pair == plain(order.symbol) and sent.side == order.side and place == sent.symbol
        return GateFacts(
            view=_beside(whole_of(view), beside or ()),
            instrument=self._table.env.instruments.get(order.symbol),
            book=self._market.books.get(order.symbol),
            now=now,
            data_age_ms=self._market.age_ms(self._table.wall),
            clock_offset_ms=self._offset_ms,
            gateway_alive=self.is_gateway_alive,
            verdict=verdict,
            reservation=reservation,
            counters=Counters(
                orders_1s=last_1s,
                orders_10s=last_10s,
                trades_today=view.state.trades_today,
                recent=tuple(own[:32]),
                repeats=repeats,
            ),
            trading=view.state.trading,
            marks=self._market.mids(),
            contracts=self._contracts,
            bot=_use_of(agent, view, own_1s),
            beside=None if beside is None else sum((r.qty_left for r in beside), ZERO),
            correlations={} if order.reduce_only else _correlations(order.symbol, view),
        )


def _beside(view: FirmView, parts: tuple[Reservation, ...]) -> FirmView:
    if not parts:
        return view
    taken: dict[str, Decimal] = {}
    for part in parts:
        taken[part.asset] = taken.get(part.asset, ZERO) + part.amount
    cash = tuple([replace(c, reserved=c.reserved + taken.get(c.asset, ZERO)) for c in view.state.cash])
    return FirmView(replace(view.state, reservations=(*view.state.reservations, *parts), cash=cash))


def _correlations(symbol: str, view: FirmView) -> Mapping[tuple[str, str], float]:
    if not isinstance(view, DeskView):
        return {}
    return view.together.with_symbol(symbol_of(coin_of(symbol), view.state.quote))


def _use_of(agent: str, view: FirmView, orders_1s: int) -> BotUse:
    if not isinstance(view, DeskView):
        return BotUse(orders_1s=orders_1s)
    its = view.standings
    return BotUse(
        lost=its.lost(agent), fallen=its.fallen(agent), trades_today=its.trades.get(agent, 0),
        orders_1s=orders_1s,
    )  # fmt: skip
