"""The screen says of contracts what they cost to hold, and that it does not know where it does not."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from parley.messages import KINDS, Envelope, Mark, MarketBatch, encode
from runtime.live_contracts import ContractMarks
from runtime.live_view import LiveView
from tests.kit.builders import T0, make_instrument, make_state
from tests.kit.contracts import BTC, ETH, contract
from tests.kit.risk_cases import make_position
from tests.kit.small_journal import Notes, run_config

HOUR = 3_600_000_000_000
INSTRUMENTS = {"BTC/USDT": make_instrument("BTC/USDT"), ETH: contract(ETH), BTC: contract(BTC)}


def mark(symbol: str = BTC, rate: float | None = 0.0001, due: int = T0 + HOUR) -> Mark:
    return Mark(symbol=symbol, t=T0, px=60_000.126, rate=rate, next_funding=due)


def envelope_of(batch: MarketBatch) -> bytes:
    envelope = Envelope(
        kind=KINDS[MarketBatch], tenant="local", desk=1, epoch=1, seq=batch.step, round=b"", sender="hub",
        to="desk", cause=0, body=encode(batch),
    )  # fmt: skip
    return encode(envelope)


def rows(*marks: Mark, qty: str = "0.5") -> dict[str, tuple[str, ...]]:
    contracts = ContractMarks(INSTRUMENTS)
    contracts.take([envelope_of(MarketBatch(step=n, t=T0, marks=(each,))) for n, each in enumerate(marks)])
    held = (make_position(symbol=BTC, qty=qty),) if qty else ()
    return {symbol: tuple(rest) for symbol, *rest in contracts.rows(held, T0)}


def test_a_long_pays_and_a_short_gets_a_positive_rate() -> None:
    due = "2026-01-01 01:00"
    assert rows(mark())[BTC] == ("60000.13", "+0.0100%", due, "pays 3.00 USDT")
    assert rows(mark(), qty="-0.5")[BTC] == ("60000.13", "+0.0100%", due, "gets 3.00 USDT")
    assert rows(mark(rate=-0.0002))[BTC] == ("60000.13", "-0.0200%", due, "gets 6.00 USDT")
    assert rows(mark(), qty="")[BTC] == ("60000.13", "+0.0100%", due, "")


def test_the_newest_mark_counts() -> None:
    assert rows(mark(rate=0.5), mark(rate=0.0001))[BTC][1] == "+0.0100%"


def test_what_nobody_told_is_unknown_and_not_free() -> None:
    unknown = "unknown"
    assert rows()[BTC] == (unknown, unknown, unknown, unknown)
    assert rows()[ETH] == (unknown, unknown, unknown, "")
    assert rows(mark(rate=None))[BTC][1:] == (unknown, "2026-01-01 01:00", unknown)
    assert rows(mark(due=0))[BTC][1:] == ("+0.0100%", unknown, unknown)
    assert rows(mark(due=T0))[BTC][1:] == ("+0.0100%", unknown, unknown)


def test_the_screen_shows_them_where_contracts_are_traded(tmp_path: Path) -> None:
    path = tmp_path / "desk.journal"
    notes = Notes(path, run_config())
    notes.put(make_state(t=T0), MarketBatch(step=1, t=T0, marks=(mark(),)))
    notes.writer.close()

    def screen(instruments: list[str]) -> str:
        view = LiveView(path, "run", (), instruments={each: INSTRUMENTS[each] for each in instruments})
        view.poll()
        console = Console(width=200, record=True, file=io.StringIO())
        console.print(view.render("x1", 200))
        return console.export_text()

    assert "+0.0100%" in screen(["BTC/USDT", BTC])
    assert "funding" not in screen(["BTC/USDT"])
