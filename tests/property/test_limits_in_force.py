"""No order of commands, deliveries, restarts and proposals lets an order pass that exceeds a limit in force.

A real firm decides, a real limit switch and last look stand behind it; between them, and between each and its
disk, everything may be late or lost. What is in force is worked out here from the commands alone: the value
that is durable in the desk, and every tighter one that was taken since.

Not here: the processes themselves (tests/contract/test_limits_changed.py).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.agent import Context
from parley.messages import Cfp, Intent, LimitChange, LimitsSet, Message, Refuse, VenueReject
from runtime.credits import Credits
from runtime.gateway_config import GatewayConfig, NullConfig
from runtime.kill_switch import KillSwitch
from runtime.lastlook import Counters, Limits
from runtime.limit_switch import LimitSwitch
from runtime.limit_word import SET, TOLD, Confirmed
from runtime.passing import Passing
from tests.kit.firm_kit import CAPITAL, TestDesk, polite, proposal, spot
from venues.null_venue import NullVenue

D = Decimal
SYMBOL = "BTC/USDT"
PRICE = 50_000.0
WIDE = {"max_order_notional": "0.20", "max_position": "0.80", "max_slippage_bps": "100"}
KEYS = ("max_order_notional", "tree.account.max_order_notional", f"tree.symbol:{SYMBOL}.max_order_notional")
VALUES = ("0.02", "0.05", "0.08", "0.12", "0.20")


class Peer:
    """The command's end of the kill socket: keeps what it was told."""

    peer_pid, peer_uid, is_open = 1, 0, True

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def send(self, envelope: Any) -> None:
        self.told.append(json.loads(envelope.body.removeprefix(TOLD.encode())))


class World:
    """A desk and its gateway, with everything on its way between them in the test's hands."""

    def __init__(self, folder: Path) -> None:
        self.qty = D("0.1")
        self.desk = TestDesk(scripts={"strategy/a": self._strategy}, limits=dict(WIDE))
        self._answer = self.desk.answer
        self.desk.answer = self._decided  # type: ignore[method-assign]
        self.config = GatewayConfig(
            account="main", socket="", journal="", instruments=str(folder / "i"), venue=_null(),
            limits=_own(), desk_limits=dict(WIDE),
        )  # fmt: skip
        self.gateway_journal: list[LimitChange | LimitsSet] = []
        self.to_desk: list[LimitChange] = []
        self.uncommitted: list[LimitChange] = []
        self.to_gateway: list[Confirmed] = []
        self.flights: list[tuple[Intent, Decimal]] = []
        self.counters = Counters()
        self.in_force: dict[str, list[str]] = {}  # by key: what is durable in the desk, then all taken since
        self.passed = 0
        self.switch = self._switch()
        self.desk.bar(PRICE)

    def _switch(self) -> LimitSwitch:
        def durably(message: Message, then: Any) -> None:
            if isinstance(message, LimitChange):
                self.gateway_journal.append(message)
                self.to_desk.append(message)
            then()

        def note(message: Message) -> None:
            assert isinstance(message, LimitsSet)
            self.gateway_journal.append(message)

        return LimitSwitch(self.config, note, durably)

    def _strategy(self, msg: Message, ctx: Context, me: str) -> Sequence[Message]:
        if not isinstance(msg, Cfp):
            return polite(msg, ctx, me)
        held = ctx.view.holding(me, SYMBOL)
        if ctx.view.reserved(me, SYMBOL):
            return (Refuse(agent=me, code="working"),)
        if held is not None and held.qty >= D("0.00001"):
            return (proposal(me, ctx, SYMBOL, "sell", spot(SYMBOL).qty(held.qty), reduce_only=True),)
        return (proposal(me, ctx, SYMBOL, "buy", self.qty),)

    def _decided(self, orders: Sequence[Any], price: float) -> None:
        self.flights += [(each, self.most()) for each in orders if isinstance(each, Intent)]

    def most(self) -> Decimal:
        """The least share that anything in force allows an order."""
        values = [D(value) for each in self.in_force.values() for value in each]
        return min(
            [D(WIDE["max_order_notional"]), *values] if "max_order_notional" not in self.in_force else values
        )

    # what may happen

    def command(self, key: str, value: str) -> None:
        peer = Peer()
        wish = msgspec.json.encode({"key": key, "value": value, "reason": "test"}).decode()
        assert self.switch.asked(peer, SET + wish)  # type: ignore[arg-type]
        if any("taken" in told for told in peer.told):
            self.in_force.setdefault(key, [WIDE["max_order_notional"]] if key == KEYS[0] else []).append(
                value
            )

    def hear(self) -> None:
        """Let the desk hear the next change; it judges by it before its record is durable."""
        if self.to_desk and self.desk.firm.is_news(change := self.to_desk.pop(0)):
            self.desk.admit(change, "gateway")
            self.uncommitted.append(change)

    def commit(self) -> None:
        """Let the desk's oldest record become durable, and its word leave."""
        if self.uncommitted:
            change = self.uncommitted.pop(0)
            taken = self.in_force[change.key]
            del taken[: taken.index(change.new)]
            self.to_gateway.append(Confirmed(n=change.n, values={change.key: change.new}))

    def word(self) -> None:
        if self.to_gateway:
            self.switch.confirmed(self.to_gateway.pop(0))

    def gateway_dies(self) -> None:
        """What was on its way is lost; the next one folds the journal, the desk says what it has."""
        while self.uncommitted:  # a desk says only what is on its disk
            self.commit()
        self.to_gateway, self.to_desk = [], []
        journal, self.gateway_journal = list(self.gateway_journal), list(self.gateway_journal)
        self.switch = self._switch()
        self.switch.adopt(journal)
        n, values = self.desk.firm.limits.book.told
        self.switch.confirmed(Confirmed(n=n, values=values))
        self.to_desk = [each for each in journal if isinstance(each, LimitChange)]

    def decide(self, qty: str) -> None:
        self.qty = D(qty)
        self.desk.bar(PRICE)

    def arrive(self) -> None:
        """Let the oldest order reach the gateway, and the venue if it passes."""
        if not self.flights:
            return
        intent, most = self.flights.pop(0)
        brought = {"USDT": CAPITAL}
        venue = NullVenue((SYMBOL,), (("USDT", CAPITAL),))
        kills = KillSwitch(None, "local", "main", None, lambda said: None, lambda link: None)  # type: ignore[arg-type]
        passing = Passing(
            self.config.limits, self.counters, {SYMBOL: spot(SYMBOL)}, venue, brought, kills,
            self.switch.followed, Credits(venue.meter, lambda said: None),
        )  # fmt: skip
        no = passing.refusal(intent, 0)
        if no is None:
            self.counters.sent(intent, 0)
            if not intent.reduce_only:
                worth = CAPITAL  # nothing is held when something is bought, and the price does not move
                share = intent.qty * max(intent.px or D(0), D(repr(PRICE))) / worth
                assert share <= most, f"{share} of the account passed, {most} was in force at its decision"
                self.passed += 1
            self._answer([intent], PRICE)
            self.counters.dead(intent.iid)
        else:
            self.desk.admit(
                VenueReject(iid=intent.iid, code=no[0], definitive=True, detail=no[1], cancel=False),
                "gateway",
            )


def _null() -> Any:
    return NullConfig(symbols=(SYMBOL,), balances={"USDT": CAPITAL})


def _own() -> Any:
    return Limits(max_notional={"USDT": CAPITAL}, max_position={"USDT": CAPITAL}, cash=("USDT",),
                  max_orders_per_s=1000)  # fmt: skip


STEPS = st.one_of(
    st.tuples(st.just("command"), st.sampled_from(KEYS), st.sampled_from(VALUES)),
    st.tuples(st.sampled_from(["hear", "commit", "word", "arrive", "arrive", "gateway_dies"])),
    st.tuples(st.just("decide"), st.sampled_from(["0.05", "0.1", "0.2", "0.3", "0.39"])),
)


def play(steps: list[tuple[Any, ...]]) -> World:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        for name, *rest in steps:
            getattr(world, name)(*rest)
        while world.flights:
            world.arrive()
        return world


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_no_order_exceeds_the_tightest_limit_in_force_at_its_decision(steps: list[tuple[Any, ...]]) -> None:
    play(steps)


def test_orders_pass_as_far_as_limits_allow_and_no_further() -> None:
    # capital halves what is asked for: 0.3 is 7.5 % of the account, and each second decision is an exit
    buy_and_leave: list[tuple[Any, ...]] = [("decide", "0.3"), ("arrive",), ("decide", "0.3"), ("arrive",)]
    command = ("command", KEYS[0], "0.05")
    assert play([("arrive",), ("decide", "0.3"), ("arrive",), *buy_and_leave]).passed == 2
    # the gateway refuses what the desk decided before it heard
    assert play([("arrive",), ("decide", "0.3"), ("arrive",), command, *buy_and_leave]).passed == 1
    heard: list[tuple[Any, ...]] = [command, ("hear",), ("commit",), ("word",)]
    assert play([("arrive",), ("decide", "0.3"), ("arrive",), *heard, *buy_and_leave]).passed == 1
    loosened: list[tuple[Any, ...]] = [("command", KEYS[0], "0.20"), ("hear",), ("commit",)]
    start: list[tuple[Any, ...]] = [("arrive",), ("decide", "0.3"), ("arrive",), *heard, *loosened]
    assert play([*start, *buy_and_leave]).passed == 1
    assert play([*start, ("word",), *buy_and_leave]).passed == 2
