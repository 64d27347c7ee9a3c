"""A desk at several exchanges tells its user what lies where, what was traded where, and a round's parts."""

from __future__ import annotations

import json
from decimal import Decimal as D
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from parley.ledger import Ledger
from parley.messages import Decision, PlanLeg
from runtime.by_exchange import lies_at, lies_where
from runtime.cli import app
from runtime.commands.explain import show
from runtime.explain import explain
from runtime.history import config_of, entries, kinds, open_journal
from runtime.output import plain
from runtime.parts import parts_of
from runtime.story import Story
from runtime.summary import Summary, summarise, told
from runtime.summary_view import show_result
from tests.kit.desk_cases import BTC, StepDesk
from tests.kit.small_journal import ROUNDS, write_journal
from tests.kit.three_exchanges import BYBIT, EACH, OKX, shared_out, write_shared_out

NAMES = {"": "binance", "bybit": "bybit", "okx": "okx"}
OF_THE_PROCESSES = {
    "journal": "desk.journal", "candles": {}, "candles_per_second": 1.0, "seconds": 1.0, "replay": "",
    "peak_memory_mb": {"total": 1.0}, "ledger_equals_exchange": True, "desk_lives": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def desk() -> StepDesk:
    return shared_out()


@pytest.fixture(scope="module")
def journal(desk: StepDesk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shared_out(tmp_path_factory.mktemp("several") / "desk.journal", desk)


@pytest.fixture(scope="module")
def summary(journal: Path) -> Summary:
    return summarise(open_journal(journal))


@pytest.fixture(scope="module")
def story(journal: Path, desk: StepDesk) -> Story:
    (round_,) = {d.round for d in desk.said(Decision) if isinstance(d, Decision) and d.action == "accept"}
    return explain(open_journal(journal), round_)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_journal(tmp_path / "desk.journal")


def parley(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def printed(story: Story) -> str:
    out = StringIO()
    show(story, Console(file=out, width=200))
    return out.getvalue()


# what lies where


def test_every_balance_is_told_where_it_lies_at_that_exchanges_price(journal: Path) -> None:
    told = json.loads(parley("positions", "--journal", journal, "--json"))

    assert [(e["coin"], e["exchange"], D(e["amount"]), D(e["worth"])) for e in told["where"]] == [
        ("BTC", "binance", D("0.0998001"), D("4990.005")),
        ("BTC", "bybit", D("0.0998001"), D("4990.005")),
        ("BTC", "okx", D("0.0501498"), D("2506.487004")),  # at 49,980
        ("USDT", "binance", D("25004.9001"), D("25004.9001")),
        ("USDT", "bybit", D("25004.8203"), D("25004.8203")),
        ("USDT", "okx", D("27489.8494"), D("27489.8494")),
    ]


def test_what_lies_where_sums_to_the_account_as_of_the_state_that_is_shown(journal: Path) -> None:
    told = json.loads(parley("positions", "--journal", journal, "--json"))
    where, state = told["where"], told["state"]

    assert sum(D(each["worth"]) for each in where) == D(state["equity"])
    for purse in state["cash"]:
        amounts = [D(each["amount"]) for each in where if each["coin"] == purse["asset"]]
        assert sum(amounts) == D(purse["total"])


def test_people_get_a_table_of_it(journal: Path) -> None:
    lines = [line.split() for line in parley("positions", "--journal", journal).splitlines()]

    at = lines.index(["where", "it", "lies"])
    assert lines[at + 1] == ["coin", "exchange", "amount", "worth", "USDT"]
    assert lines[at + 4] == ["BTC", "okx", "0.0501498", "2,506.49"]
    assert len(lines) == at + 8


def test_before_anything_is_bought_the_purse_of_every_exchange_is_told(journal: Path) -> None:
    reader = open_journal(journal)
    (first, *_) = [e.seq for e in entries(reader, kinds("StateView"))]

    found = lies_where(reader, config_of(reader), first)

    assert [(e.coin, e.exchange, e.amount) for e in found] == [
        ("USDT", name, EACH) for name in NAMES.values()
    ]


def test_before_the_account_is_known_nothing_lies_anywhere(journal: Path) -> None:
    reader = open_journal(journal)
    opened = next(e for e in entries(reader, kinds("Balance")))

    assert lies_where(reader, config_of(reader), opened.seq - 1) == []


def test_an_empty_purse_is_told_and_a_coin_without_a_price_is_worth_what_nobody_knows(desk: StepDesk) -> None:
    ledger = Ledger("main", "USDT", desk.firm.account.instruments)
    ledger.open((("USDT@okx", D(5)), ("BTC@bybit", D(2))), t=1)

    assert [(e.coin, e.exchange, e.amount, e.worth) for e in lies_at(ledger, NAMES)] == [
        ("BTC", "bybit", D(2), None),
        ("USDT", "binance", D(0), D(0)),
        ("USDT", "bybit", D(0), D(0)),
        ("USDT", "okx", D(5), D(5)),
    ]


def test_positions_of_a_desk_at_one_exchange_are_what_they_were(small: Path) -> None:
    assert set(json.loads(parley("positions", "--journal", small, "--json"))) == {"journal", "state"}
    assert "where it lies" not in parley("positions", "--journal", small)


# what was traded where


def test_summary_has_the_figures_of_each_exchange(summary: Summary) -> None:
    found = {name: plain(each) for name, each in summary.by_exchange.items()}

    assert list(found) == ["binance", "bybit", "okx"]
    assert found == {
        "binance": {
            "orders": 1, "fills": 1, "maker_fills": 0, "volume": "4995.0999", "fees": "4.995",
        },
        "bybit": {"orders": 1, "fills": 2, "maker_fills": 0, "volume": "4995.1797", "fees": "4.995"},
        "okx": {"orders": 1, "fills": 1, "maker_fills": 0, "volume": "2510.1506", "fees": "2.5101004"},
    }  # fmt: skip


def test_figures_of_all_exchanges_sum_to_those_of_the_run(summary: Summary) -> None:
    there = summary.by_exchange.values()

    assert sum(each.orders for each in there) == summary.orders == 3
    assert sum(each.fills for each in there) == summary.fills == 4
    assert sum(each.volume for each in there) == summary.volume
    assert sum(each.fees for each in there) == summary.fees > 0


def test_result_of_a_run_has_a_line_for_each_exchange(
    summary: Summary, capsys: pytest.CaptureFixture[str]
) -> None:
    show_result(told(summary) | OF_THE_PROCESSES)

    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    at = lines.index("orders, fills 3 orders, 4 fills (0 as maker)")
    assert lines[at + 1 : at + 4] == [
        "at binance 1 orders, 1 fills, 4,995.10 USDT traded, 5.00 USDT of fees",
        "at bybit 1 orders, 2 fills, 4,995.18 USDT traded, 5.00 USDT of fees",
        "at okx 1 orders, 1 fills, 2,510.15 USDT traded, 2.51 USDT of fees",
    ]


def test_result_of_a_run_at_one_exchange_is_what_it_was(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = told(summarise(open_journal(small)))

    show_result(found | OF_THE_PROCESSES)
    assert "by_exchange" not in found
    assert found["fees"] == "4.1978"
    assert "at binance" not in capsys.readouterr().out


# the parts of a round


def test_a_shared_out_order_is_told_by_exchange(story: Story) -> None:
    assert [(p.exchange, p.symbol, p.qty, p.filled, p.fills, p.fees) for p in story.parts] == [
        ("binance", BTC, D("0.0999"), D("0.0999"), 1, {"BTC": D("0.0000999")}),
        ("bybit", BTC, D("0.0999"), D("0.0999"), 2, {"BTC": D("0.0000999")}),
        ("okx", BTC, D("0.0502"), D("0.0502"), 1, {"BTC": D("0.0000502")}),
    ]
    assert [round(p.avg_px or D(0), 4) for p in story.parts] == [D(50_001), D("50001.7988"), D(50_003)]


def test_people_read_where_it_went(story: Story) -> None:
    text = printed(story)

    assert "\nwhere it went\n" in text
    assert "binance: buy 0.0999 BTC/USDT: 0.0999 filled at 50001 in 1 fill, fee 0.0000999 BTC\n" in text
    assert "bybit: buy 0.0999 BTC/USDT: 0.0999 filled at 50001.7987988 in 2 fills, fee 0.0000999 BTC" in text


def test_a_part_that_was_sent_anew_is_one_part(story: Story) -> None:
    (first, *_) = story.orders
    (part, *_) = parts_of(story.plan, [first, first], NAMES)

    assert (part.orders, part.fills, part.filled, part.qty) == (2, 2, D("0.1998"), D("0.0999"))
    assert (part.avg_px, part.fees) == (D(50_001), {"BTC": D("0.0001998")})


def test_parts_that_came_to_nothing_say_why() -> None:
    story = Story(round="r", symbol=BTC, outcome="accept")
    legs = [leg(BTC, "0.1"), leg(BYBIT, "0.2"), leg(OKX, "0")]
    story.parts = parts_of(legs, [], NAMES)

    text = printed(story)
    assert "binance: buy 0.1 BTC/USDT: nothing filled" in text
    assert "okx: buy BTC/USDT: nothing, the gate let no part of it pass" in text


def leg(symbol: str, qty: str) -> PlanLeg:
    return PlanLeg(
        symbol=symbol, side="buy", qty=D(qty), style="limit", px=D(50_000), tif="IOC", reduce_only=False
    )


def test_every_order_belongs_to_a_part_also_where_no_plan_names_it(story: Story) -> None:
    parts = parts_of([], story.orders, NAMES)

    assert [(p.exchange, p.orders, p.filled) for p in parts] == [
        ("binance", 1, D("0.0999")), ("bybit", 1, D("0.0999")), ("okx", 1, D("0.0502")),
    ]  # fmt: skip


def test_a_round_at_one_exchange_is_told_as_it_was(small: Path) -> None:
    story = explain(open_journal(small), ROUNDS[1])

    assert len(story.orders) == 1
    assert story.parts == []
    assert "where it went" not in printed(story)


def test_the_parts_are_json_too(journal: Path, story: Story) -> None:
    told = json.loads(parley("explain", story.round, "--journal", journal, "--json"))

    assert told["round"] == story.round
    assert [(p["exchange"], p["filled"], p["avg_px"]) for p in told["parts"]][2] == ("okx", "0.0502", "50003")
