"""`parley trade --mode live`: what has to be said for it, all at once; nothing starts without a word."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from parley.agent import AgentSpec
from parley.errors import ConfigError, UserError
from runtime import contracts
from runtime.cli import app
from runtime.commands import live as live_command
from runtime.commands.live import check, compose, confirm, live
from runtime.commands.trade import trade
from runtime.launch import Access, Market, make_run
from runtime.real_money import RealMoney
from runtime.settings import Settings, load_settings

SAID = """\
venue = "bybit"
pairs = ["BTC/USDT", "ETH/USDT"]
capital = 500
{top}
[limits]
max_order_notional = 0.25
max_position = 0.2
max_daily_loss = 0.02
max_drawdown = 0.1
{limits}
[live]
keys = "keys.json"
{live}
{rest}
"""

GIVEN: dict[str, Any] = {
    "config": (), "strategy": None, "strategy_list": (), "timerange": None, "pairs": (), "stake_amount": None,
    "enable_protections": False, "breakdown": (), "allow_unknown_keys": False,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [each for each in os.environ if each.startswith("PARLEY_") and each != "PARLEY_DATA"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def desk(tmp_path: Path) -> Callable[..., Path]:
    """Write a desk's settings that live trading could begin with, and more of them."""

    def write(**more: str) -> Path:
        path = tmp_path / "desk.toml"
        path.write_text(SAID.format(**({"top": "", "limits": "", "live": "", "rest": ""} | more)))
        return path

    return write


def nobody(_: str) -> str:
    raise AssertionError("nobody was to be asked")


# ------------------------------------------------------------------- check


def test_settings_that_say_all_say_how_the_exchange_is_reached(
    desk: Callable[..., Path], tmp_path: Path
) -> None:
    assert check(load_settings(desk())) == Access(
        keys_file=tmp_path / "keys.json", rest="", ws="", has_control=False,
        real_money=RealMoney(quote="USDT", capital=D(500), max_clock_offset_ms=100.0),
    )  # fmt: skip
    own = desk(live='rest = "http://127.0.0.1:1"\nws = "ws://127.0.0.1:1"', limits="max_clock_offset_ms = 25")
    access = check(load_settings(own))
    assert (access.rest, access.ws) == ("http://127.0.0.1:1", "ws://127.0.0.1:1")
    assert access.real_money == RealMoney(quote="USDT", capital=D(500), max_clock_offset_ms=25.0)


def test_all_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(UserError) as error:
        check(load_settings())

    text = "live trading has no defaults for what can be lost: the settings must say "
    assert str(error.value) == text + (
        "venue, pairs, capital, limits.max_order_notional, limits.max_position, limits.max_daily_loss,"
        " limits.max_drawdown, live.keys"
    )


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('venue = "bybit"', "venue"),
        ('pairs = ["BTC/USDT", "ETH/USDT"]', "pairs"),
        ("capital = 500", "capital"),
        ("max_order_notional = 0.25", "limits.max_order_notional"),
        ("max_position = 0.2", "limits.max_position"),
        ("max_daily_loss = 0.02", "limits.max_daily_loss"),
        ("max_drawdown = 0.1", "limits.max_drawdown"),
        ('keys = "keys.json"', "live.keys"),
    ],
)
def test_a_default_is_not_enough(desk: Callable[..., Path], line: str, name: str) -> None:
    path = desk()
    path.write_text(path.read_text().replace(line + "\n", ""))

    with pytest.raises(UserError, match=rf"the settings must say {name}$"):
        check(load_settings(path))


@pytest.mark.parametrize(
    ("top", "name"),
    [
        ('data = "recorded"', "data"),
        ('trades = "BTC/USDT=trades.csv"', "trades"),
        ("speed = 300", "speed"),
        ("candle_parts = 8", "candle_parts"),
        ('crosses = "none"', "crosses"),
        ('speed = "max"\ncrosses = "auto"', "speed, crosses"),
        ('journal = "elsewhere.journal"', "journal"),
        ('from = "2021-05-08"\nto = "2021-05-09"', "start, end"),
        ("maker_fee = 0\ntaker_fee = 0", "maker_fee, taker_fee"),
    ],
)
def test_settings_of_paper_are_refused(desk: Callable[..., Path], top: str, name: str) -> None:
    with pytest.raises(UserError, match=rf"^{name}: of a market on paper, live trades the exchange's own$"):
        check(load_settings(desk(top=top)))


def test_pairs_in_another_currency_than_the_capitals_are_refused(desk: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match=r"^ETH/BTC, SOL/EUR: the capital is in USDT, so are the pairs to be"):
        check(load_settings(desk(), {"pairs": ("BTC/USDT", "ETH/BTC", "SOL/EUR")}))
    settings = load_settings(desk(), {"quote": "BTC", "pairs": ("ETH/BTC",)})
    money = check(settings).real_money
    assert money is not None
    assert money.quote == "BTC"


@pytest.mark.parametrize("one", ['rest = "https://api.example"', 'ws = "wss://stream.example"'])
def test_one_address_of_two_is_refused(desk: Callable[..., Path], one: str) -> None:
    with pytest.raises(UserError, match="addresses of one exchange: say both, or neither"):
        check(load_settings(desk(live=one)))


def test_an_exchange_nobody_certified_is_refused(desk: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match="did you mean 'bybit'"):
        check(load_settings(desk(), {"venue": "bybt"}))


def test_an_exchange_that_lacks_what_opening_needs_is_refused(
    desk: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_command, "lacks_for_opening", lambda row: "no client order ids")

    with pytest.raises(UserError, match="real money cannot be traded at 'bybit': no client order ids"):
        check(load_settings(desk()))


def test_limits_that_are_none_are_refused(desk: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError):
        check(load_settings(desk(limits="max_clock_offset_ms = 0")))


# ----------------------------------------------------------------- confirm


def test_the_exchange_is_named_by_whoever_wants_its_money_traded(
    desk: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    confirm(load_settings(desk()), "bybit", nobody)

    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == (
        "REAL MONEY: up to 500 USDT of the account at bybit (its own addresses), pairs BTC/USDT, ETH/USDT\n"
    )


def test_another_address_than_the_real_one_is_shown(
    desk: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    both = 'rest = "http://127.0.0.1:1"\nws = "ws://127.0.0.1:1"'
    confirm(load_settings(desk(live=both)), "bybit", nobody)

    assert "the account at bybit (http://127.0.0.1:1)" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["binance", "", "BYBIT", "yes", " bybit"])
def test_another_word_starts_nothing(desk: Callable[..., Path], word: str) -> None:
    settings = load_settings(desk())
    text = f"not confirmed: expected 'bybit', was {word!r}; nothing was started"

    with pytest.raises(UserError) as named:
        confirm(settings, word, nobody)
    with pytest.raises(UserError) as typed:
        confirm(settings, None, lambda text: word)
    assert str(named.value) == str(typed.value) == text


def test_a_terminal_is_asked_for_the_name(desk: Callable[..., Path]) -> None:
    asked: list[str] = []

    def answer(text: str) -> str:
        asked.append(text)
        return "bybit"

    confirm(load_settings(desk()), None, answer)
    assert asked == ["type bybit to go on"]


def test_without_a_terminal_nobody_is_asked(
    desk: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("bybit\n"))

    with pytest.raises(UserError, match=r"^not confirmed: say --real-money bybit to trade at bybit$"):
        confirm(load_settings(desk()), None)


def test_contracts_and_their_leverage_are_shown(
    desk: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    more = {"venue": "binanceusdm", "leverage": 3, "pairs": ("BTC/USDT:USDT", "ETH/USDT:USDT")}
    settings = load_settings(desk(), more)
    assert check(settings).real_money is not None
    confirm(settings, "binanceusdm", nobody)

    told = "REAL MONEY: up to 500 USDT of the account at binanceusdm (its own addresses), "
    assert capsys.readouterr().err == told + "contracts BTC/USDT:USDT, ETH/USDT:USDT at leverage 3\n"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            {"venue": "binanceusdm"},
            "'binanceusdm' trades contracts: expected 'BTC/USDT:USDT', was 'BTC/USDT'",
        ),
        (
            {"pairs": ("BTC/USDT:USDT",)},
            "'bybit' trades spot pairs: expected 'BTC/USDT', was 'BTC/USDT:USDT'",
        ),
        ({"leverage": 3}, "leverage belongs to contracts: expected 1 at 'bybit', was 3"),
        (
            {"venue": "binanceusdm", "pairs": ("BTC/USDC:USDC",)},
            "'binanceusdm' trades contracts: expected 'BTC/USDC:USDT', was 'BTC/USDC:USDC'",
        ),
    ],
)
def test_what_a_venue_does_not_trade_is_refused_before_anybody_is_asked(
    desk: Callable[..., Path], more: dict[str, object], told: str
) -> None:
    with pytest.raises(UserError) as error:
        live(desk(), more, None, as_json=False)
    assert str(error.value) == told


# ----------------------------------------------------------------- compose


@pytest.mark.parametrize(
    ("venue", "said", "stand"),
    [
        ("binance", "", True), ("binance", "[desk]\nvenue_stops = false", False), ("binanceusdm", "", True),
        ("bybit", "", False), ("okx", "", False), ("kucoin", "", False),
        ("bybit", "[desk]\nvenue_stops = true", True), ("okx", "[desk]\nvenue_stops = true", True),
    ],
)  # fmt: skip
def test_exchange_holds_the_stops_where_it_can(
    desk: Callable[..., Path], venue: str, said: str, stand: bool
) -> None:
    path = desk(rest=said)
    path.write_text(path.read_text().replace('"bybit"', f'"{venue}"'))
    settings = load_settings(path)
    market = Market(pairs=contracts.named(settings.pairs, settings), crosses=())

    assert compose(settings, market, "run").desk.venue_stops is stand
    assert make_run(settings, market, "run").desk.venue_stops is ("true" in said)


def test_stops_at_an_exchange_that_holds_none_are_refused(desk: Callable[..., Path]) -> None:
    path = desk(rest="[desk]\nvenue_stops = true")
    path.write_text(path.read_text().replace('"bybit"', '"kucoin"'))
    settings = load_settings(path)

    expected = r"desk.venue_stops: expected a venue .*\(binance, binanceusdm, bybit, okx\), was 'kucoin'"
    with pytest.raises(UserError, match=expected):
        compose(settings, Market(pairs=settings.pairs, crosses=()), "run")


def capital_of(settings: Settings) -> AgentSpec:
    run = compose(settings, Market(pairs=settings.pairs, crosses=()), "run")
    (found,) = [spec for spec in run.agents if spec.role == "capital"]
    return found


def test_a_desk_begins_with_a_part_of_its_stakes(desk: Callable[..., Path]) -> None:
    settings = load_settings(desk())
    market = Market(pairs=settings.pairs, crosses=())
    live_run, paper_run = compose(settings, market, "run"), make_run(settings, market, "run")

    assert capital_of(settings).params["ramp_days"] == 14.0
    assert "ramp_start" not in capital_of(settings).params
    for spec, on_paper in zip(live_run.agents, paper_run.agents, strict=True):
        if spec.role not in ("capital", "risk"):
            assert spec == on_paper
    assert live_run.desk == paper_run.desk
    assert live_run.limits == {"max_book_age_ms": 60_000.0, **paper_run.limits}
    assert live_run.desk.symbols == ("BTC/USDT", "ETH/USDT")


def test_a_book_may_stand_still_as_long_as_the_limits_say(desk: Callable[..., Path]) -> None:
    settings = load_settings(desk(rest="[limits.breakers]\nloss_streak = 4"), {"limits": {}})
    limits = {**settings.limits, "max_book_age_ms": 5000}
    settings = settings.model_copy(update={"limits": limits})

    run = compose(settings, Market(pairs=settings.pairs, crosses=()), "run")

    assert run.limits["max_book_age_ms"] == 5000
    (risk,) = [spec for spec in run.agents if spec.role == "risk"]
    assert risk.params["limits"]["max_book_age_ms"] == 5000  # type: ignore[index]


@pytest.mark.parametrize("days", [0, 3, 90.5])
def test_the_settings_say_otherwise(desk: Callable[..., Path], days: float) -> None:
    settings = load_settings(desk(rest=f'[agents."capital/main"]\nramp_days = {days}\nkelly = 0.25'))

    params = capital_of(settings).params
    assert (params["ramp_days"], params["kelly"]) == (days, 0.25)


def test_other_parameters_leave_the_ramp(desk: Callable[..., Path]) -> None:
    settings = load_settings(desk(rest='[agents."capital/main"]\nkelly = 0.25'))

    params = capital_of(settings).params
    assert (params["ramp_days"], params["kelly"]) == (14.0, 0.25)


# --------------------------------------------------------------- the command


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Settings, dict[str, Any]]]:
    """Keep what would be played; the processes have their own tests."""
    calls: list[tuple[Settings, dict[str, Any]]] = []

    def play(settings: Settings, composed: object, **how: Any) -> int:
        assert composed is compose
        calls.append((settings, how))
        return 0

    monkeypatch.setattr(live_command, "play", play)
    return calls


Played = list[tuple[Settings, dict[str, Any]]]


def test_confirmed_settings_are_played_at_the_exchange(desk: Callable[..., Path], played: Played) -> None:
    assert trade("live", desk(), {"speed": None}, GIVEN, consent=False, confirmed="bybit", as_json=True) == 0

    ((settings, how),) = played
    assert (settings.pace, settings.candle) == (1.0, "5m")
    assert callable(how.pop("afterwards"))
    assert how == {
        "as_json": True, "with_database": True, "access": check(load_settings(desk())), "resumes": "",
        "market": Market(pairs=("BTC/USDT", "ETH/USDT"), crosses=()),
    }  # fmt: skip
    assert how["access"].has_control is False
    assert how["market"].is_made_up is False


def test_pairs_of_the_command_line_win_and_a_run_is_gone_on_with(
    desk: Callable[..., Path], played: Played
) -> None:
    given = GIVEN | {"pairs": ("SOL/USDT",)}

    trade("live", desk(), {}, given, consent=False, confirmed="bybit", resumes="some-run", as_json=False)

    ((settings, how),) = played
    assert settings.pairs == how["market"].pairs == ("SOL/USDT",)
    assert how["resumes"] == "some-run"


@pytest.mark.parametrize(
    ("confirmed", "resumes", "text"),
    [
        (None, "", "not confirmed: say --real-money bybit"),
        ("binance", "", "not confirmed: expected 'bybit'"),
        ("bybit", "last", "there is no run with real money in"),
    ],
)
def test_what_is_not_in_order_is_never_played(
    desk: Callable[..., Path], played: Played, monkeypatch: pytest.MonkeyPatch, confirmed: str | None,
    resumes: str, text: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))

    with pytest.raises(UserError, match=text):
        live(desk(), {}, confirmed, resumes, as_json=True)
    assert played == []


def test_a_confirmation_does_not_stand_for_the_settings(played: Played) -> None:
    with pytest.raises(UserError, match="the settings must say venue, pairs, capital"):
        live(None, {}, "binance", as_json=True)
    assert played == []


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({"strategy": "Sma"}, "strategy"),
        ({"strategy_list": ("A", "B")}, "strategy_list"),
        ({"config": (Path("c.json"),), "timerange": "20210101-"}, "config, timerange"),
        ({"stake_amount": "unlimited", "enable_protections": True}, "stake_amount, enable_protections"),
        ({"allow_unknown_keys": True}, "allow_unknown_keys"),
        ({"fee": 0.0}, "fee"),
        ({"max_open_trades": 0}, "max_open_trades"),
    ],
)
def test_freqtrades_options_are_refused(
    desk: Callable[..., Path], played: Played, more: dict[str, Any], names: str
) -> None:
    with pytest.raises(
        UserError, match=rf"^{names}: freqtrade's strategies and options are for paper so far"
    ):
        trade("live", desk(), {}, GIVEN | more, consent=False, confirmed="bybit", as_json=True)
    assert played == []


def test_consent_is_refused(desk: Callable[..., Path], played: Played) -> None:
    with pytest.raises(UserError, match="--consent takes away whoever could object"):
        trade("live", desk(), {}, GIVEN, consent=True, confirmed="bybit", as_json=True)
    assert played == []


@pytest.mark.parametrize("words", [{"confirmed": "bybit"}, {"resumes": "last"}, {"confirmed": ""}])
def test_words_of_live_are_refused_on_paper(desk: Callable[..., Path], words: dict[str, str]) -> None:
    with pytest.raises(UserError, match="--real-money, --resume and --new belong to --mode live"):
        trade("paper", desk(), {}, GIVEN, consent=False, as_json=True, **words)


@pytest.mark.parametrize("mode", ["", "Live", "real", "dry-run"])
def test_another_mode_is_refused(mode: str) -> None:
    with pytest.raises(UserError, match=f"^there is no mode {mode!r}: modes are paper, live$"):
        trade(mode, None, {}, GIVEN, consent=False, as_json=True)


def test_the_command_line_passes_both_words_on(desk: Callable[..., Path], played: Played) -> None:
    words = ["trade", "--mode", "live", "--desk", str(desk())]
    done = CliRunner().invoke(app, [*words, "--real-money", "bybit", "--resume", "a-run", "BTC/USDT"])

    assert done.exit_code == 0, done.output
    ((settings, how),) = played
    assert (settings.pairs, how["resumes"]) == (("BTC/USDT",), "a-run")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--mode", "live"], "not confirmed: say --real-money bybit"),
        (["--mode", "live", "--real-money", "binance"], "not confirmed: expected 'bybit'"),
        (["--mode", "live", "--real-money", "bybit", "--speed", "10"], "speed: of a market on paper"),
        (["--real-money", "bybit"], "belong to --mode live"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_and_starts_nothing(
    desk: Callable[..., Path], played: Played, words: list[str], text: str
) -> None:
    done = CliRunner().invoke(app, ["trade", "--desk", str(desk()), *words])

    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("parley: ")]
    assert text in line
    assert "Traceback" not in done.stderr
    assert played == []
