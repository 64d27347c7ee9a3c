"""The results of all bots are the account's, exactly and at any time, and each bot's marks are its own."""

import pickle
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.account import DAY_NS, Account
from orchestrator.attribution import Attribution
from orchestrator.policy import DeskConfig
from orchestrator.standings import DeskView, Standings
from parley.ledger import OPENING
from parley.messages import Fill
from tests.kit.builders import make_book
from tests.kit.ledger_runs import INSTRUMENTS, Event, balances, events, opened, play

DAYS = st.lists(st.integers(0, 2), min_size=25, max_size=25)


def account_of(opening: dict[str, Decimal]) -> Account:
    made = Account(DeskConfig(symbols=tuple(INSTRUMENTS)), INSTRUMENTS)
    made.open(tuple(sorted(opening.items())), 0)
    made.mark({}, 0)
    return made


def feed(account: Account, event: Event, t: int) -> None:
    """Let an account live through one event, and look at its marks as after every fact."""
    books = {}
    match event:
        case ("fill", Fill() as fill, str(agent), bytes(pid), bytes(round_)):
            instrument = INSTRUMENTS[fill.symbol]
            if {"USDT", *account.ledger.marks} & {instrument.base, instrument.quote}:
                account.fill(fill, agent, pid, round_)
        case ("mark", str(symbol), Decimal() as px, int()):
            mid = float(px)
            books = {symbol: make_book(symbol=symbol, bids=((mid, 1.0),), asks=((mid, 1.0),))}
        case ("funding", str(symbol), Decimal() as amount, str(asset), int(at), str(ref)):
            account.ledger.funding(symbol, amount, asset, at, ref)
    account.mark(books, t)


def standings(account: Account) -> Standings:
    view, _ = account.view()
    assert isinstance(view, DeskView)
    return view.standings


def total(amounts: object) -> Fraction:
    return sum((Fraction(each) for each in amounts), Fraction(0))  # type: ignore[attr-defined]


@given(balances, events())
def test_results_of_all_owners_are_what_equity_is_above_the_opening(
    opening: dict[str, Decimal], life: list[Event]
) -> None:
    ledger = opened(opening)
    for _ in play(ledger, life):
        results = ledger.results()
        assert total(results.values()) == Fraction(ledger.equity()) - Fraction(ledger.opening)
        for owner, result in results.items():
            assert Fraction(result) == Fraction(ledger.realised_of(owner)) + Fraction(
                ledger.unrealised(owner)
            )


@given(balances, events())
def test_a_bots_result_is_what_attribution_gives_it(opening: dict[str, Decimal], life: list[Event]) -> None:
    ledger, attribution = opened(opening), Attribution()
    for _, new in play(ledger, life):
        if new and ledger.last is not None:
            attribution.on_transaction(ledger.last)
    report, results = attribution.report(ledger), ledger.results()
    assert {a: Fraction(pnl) for a, pnl in report.by_agent if pnl} == {
        a: Fraction(result) for a, result in results.items() if result and a != OPENING
    }


@given(balances, events(), DAYS)
def test_days_and_bests_of_all_bots_follow_the_accounts(
    opening: dict[str, Decimal], life: list[Event], days: list[int]
) -> None:
    account, t = account_of(opening), 0
    at_open = account.ledger.results()
    best: dict[str, Fraction] = {}
    opened_with = account.ledger.opening
    for event, more in zip(life, days, strict=False):
        day = t // DAY_NS
        t += more * DAY_NS // 2 + 1
        feed(account, event, t)
        results = account.ledger.results()
        if t // DAY_NS != day:
            at_open, opened_with = results, account.ledger.opening
        state, now = account.view()[0].state, standings(account)
        owners = {*results, *at_open}
        # what came to be priced since is no gain of anybody's
        priced = Fraction(account.ledger.opening) - Fraction(opened_with)
        lost = Fraction(state.day_open) - Fraction(state.equity)
        assert total([now.lost(owner) for owner in owners]) == lost + priced
        for owner in owners:
            result = Fraction(results.get(owner, 0))
            best[owner] = max(best.get(owner, Fraction(0)), result)
            assert Fraction(now.lost(owner)) == Fraction(at_open.get(owner, 0)) - result
            assert Fraction(now.fallen(owner)) == best[owner] - result
        assert sum(now.trades.values()) == state.trades_today


@given(balances, events(), DAYS, st.integers(0, 25))
def test_an_account_that_was_kept_goes_on_as_if_nothing_happened(
    opening: dict[str, Decimal], life: list[Event], days: list[int], cut: int
) -> None:
    straight, t = account_of(opening), 0
    kept = straight
    for n, (event, more) in enumerate(zip(life, days, strict=False)):
        if n == cut:
            kept = pickle.loads(pickle.dumps(straight, protocol=5))
        t += more * DAY_NS // 2 + 1
        feed(straight, event, t)
        if kept is not straight:
            feed(kept, event, t)
            assert standings(kept) == standings(straight)
            assert kept.view()[0].state == straight.view()[0].state
