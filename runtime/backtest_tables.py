"""The tables of a backtest as freqtrade's users know them: by pair, tag and reason, and the summary.

Not here: the figures (`freqtrade_bridge.report`). Invariant: every number is shown as freqtrade shows it, in
freqtrade's order and under freqtrade's titles.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Column, Table

Figures = dict[str, Any]
Row = tuple[str, Any]

_EMPTY: Row = ("", "")


def show_strategy(out: Console, name: str, figures: Figures, periods: Sequence[str]) -> None:
    """Print everything about one strategy."""
    out.print(f"Result for strategy {name}")
    out.print(_groups("BACKTESTING REPORT", ["Pair"], "Trades", figures["results_per_pair"], figures))
    out.print(_groups("LEFT OPEN TRADES REPORT", ["Pair"], "Trades", figures["left_open_trades"], figures))
    out.print(_groups("ENTER TAG STATS", ["Enter Tag"], "Entries", figures["results_per_enter_tag"], figures))
    out.print(_groups("EXIT REASON STATS", ["Exit Reason"], "Exits", figures["exit_reason_summary"], figures))
    both = ["Enter Tag", "Exit Reason"]
    out.print(_groups("MIXED TAG STATS", both, "Trades", figures["mix_tag_stats"], figures))
    for period in periods:
        out.print(_breakdown(period, figures))
    if not figures["total_trades"]:
        stake = figures["stake_amount"]
        shown = stake if isinstance(stake, str) else _coin(stake, figures)
        begun = _coin(figures["starting_balance"], figures)
        out.print(f"No trades made. Your starting balance was {begun}, and your stake was {shown}.")
        return
    table = Table("Metric", "Value", title="SUMMARY METRICS")
    for title, value in _summary(figures):
        table.add_row(title, str(value))
    out.print(table)
    out.print()


def show_comparison(out: Console, results: dict[str, Figures], comparison: Sequence[Figures]) -> None:
    """Print one line per strategy."""
    last = list(results.values())[-1]
    out.print(
        f"Backtested {last['backtest_start']} -> {last['backtest_end']} |"
        f" Max open trades : {last['max_open_trades']}"
    )
    table = _table("STRATEGY SUMMARY", ["Strategy"], "Trades", last["stake_currency"], "Drawdown")
    parts = [f"{line['max_drawdown_account'] * 100:.2f}" for line in comparison]
    wide, long = max(map(len, parts)), max(len(line["max_drawdown_abs"]) for line in comparison)
    for line, part in zip(comparison, parts, strict=True):
        drawdown = f"{line['max_drawdown_abs']:>{long}} {last['stake_currency']}  {part:>{wide}}%"
        table.add_row(line["key"], *_cells(line, last, mean=f"{line['profit_mean_pct']:.2f}"), drawdown)
    out.print(table)


def _table(title: str, keys: Sequence[str], counted: str, stake: str, *more: str) -> Table:
    columns = (
        *keys, counted, "Avg Profit %", f"Tot Profit {stake}", "Tot Profit %", "Avg Duration",
        "Win  Draw  Loss  Win%", *more,
    )  # fmt: skip
    return Table(*(Column(name, justify="right") for name in columns), title=title)


def _groups(title: str, keys: list[str], counted: str, lines: Sequence[Figures], figures: Figures) -> Table:
    table = _table(title, keys, counted, figures["stake_currency"])
    fallback = "exit_reason" if keys == ["Exit Reason"] else "OTHER"
    for line in lines:
        key = line["key"]
        named = [str(part) for part in key] if isinstance(key, list | tuple) else [str(key or fallback)]
        table.add_row(*named, *[""] * (len(keys) - len(named)), *_cells(line, figures))
    return table


def _cells(line: Figures, figures: Figures, mean: str | None = None) -> list[str]:
    return [
        str(line["trades"]),
        mean or str(line["profit_mean_pct"]),
        f"{line['profit_total_abs']:.{figures['stake_currency_decimals']}f}",
        str(line["profit_total_pct"]),
        line["duration_avg"],
        _wins(line["wins"], line["draws"], line["losses"]),
    ]


def _wins(wins: int, draws: int, losses: int) -> str:
    if not wins:
        share = "0"
    elif not losses:
        share = "100"
    else:
        share = f"{100.0 / (wins + draws + losses) * wins:.1f}"
    return f"{wins:>4}  {draws:>4}  {losses:>4}  {share:>4}"


def _breakdown(period: str, figures: Figures) -> Table:
    columns = (
        period.capitalize(), "Trades", f"Tot Profit {figures['stake_currency']}", "Profit Factor",
        "Win  Draw  Loss  Win%",
    )  # fmt: skip
    table = Table(*(Column(name, justify="right") for name in columns), title=f"{period.upper()} BREAKDOWN")
    for line in figures["periodic_breakdown"][period]:
        profit = _coin(line["profit_abs"], figures, named=False)
        wins = _wins(line["wins"], line["draws"], line["losses"])
        table.add_row(line["date"], str(line["trades"]), profit, str(round(line["profit_factor"], 2)), wins)
    return table


def _summary(figures: Figures) -> Iterator[Row]:
    f = figures
    yield from (("Backtesting from", f["backtest_start"]), ("Backtesting to", f["backtest_end"]))
    yield ("Trading Mode", _mode(f))
    yield ("Max open trades", f["max_open_trades"])
    yield _EMPTY
    yield ("Total/Daily Avg Trades", f"{f['total_trades']} / {f['trades_per_day']}")
    yield ("Starting balance", _coin(f["starting_balance"], f))
    yield ("Final balance", _coin(f["final_balance"], f))
    yield ("Absolute profit ", _coin(f["profit_total_abs"], f))
    yield ("Total profit %", f"{f['profit_total']:.2%}")
    yield ("CAGR %", f"{f['cagr']:.2%}")
    for name in ("sharpe", "sortino", "calmar"):
        yield (f"{name.capitalize()} (closed trades)", f"{f[name]:.2f}")
    yield ("SQN", f"{f['sqn']:.2f}")
    yield ("Mean profit p-value", f"{f['p_value']:.4g}")
    yield ("Profit factor", f"{f['profit_factor']:.2f}")
    yield ("Expectancy (Ratio)", f"{f['expectancy']:.2f} ({f['expectancy_ratio']:.2f})")
    yield ("Avg. daily profit", _coin(f["profit_total_abs"] / f["backtest_days"], f))
    yield ("Avg. stake amount", _coin(f["avg_stake_amount"], f))
    yield ("Market change", f"{f['market_change']:.2%}")
    yield ("Total trade volume", _coin(f["total_volume"], f))
    if f["trade_count_short"]:
        yield from _sides(f)
    yield _EMPTY
    yield from _extremes(f)
    yield ("Rejected Entry signals", f["rejected_signals"])
    yield ("Entry/Exit Timeouts", f"{f['timedout_entry_orders']} / {f['timedout_exit_orders']}")
    if f["canceled_entry_orders"]:
        yield ("Canceled Trade Entries", f["canceled_trade_entries"])
        yield ("Canceled Entry Orders", f["canceled_entry_orders"])
        yield ("Replaced Entry Orders", f["replaced_entry_orders"])
    yield _EMPTY
    yield ("Min/Max balance (closed trades)", f"{_coin(f['csum_min'], f)} / {_coin(f['csum_max'], f)}")
    yield from _drawdown(f)
    if f["wallet_stats"]:
        yield from _wallet(f)


def _mode(f: Figures) -> str:
    mode, margin = str(f["trading_mode"]), str(f["margin_mode"])
    return f"{margin.capitalize()} {mode.capitalize()}" if margin and mode != "spot" else mode.capitalize()


def _sides(f: Figures) -> Iterator[Row]:
    places = f["stake_currency_decimals"]
    yield _EMPTY
    yield ("Long / Short trades", f"{f['trade_count_long']} / {f['trade_count_short']}")
    yield ("Long / Short profit %", f"{f['profit_total_long']:.2%} / {f['profit_total_short']:.2%}")
    yield (
        f"Long / Short profit {f['stake_currency']}",
        f"{f['profit_total_long_abs']:.{places}f} / {f['profit_total_short_abs']:.{places}f}",
    )


def _extremes(f: Figures) -> Iterator[Row]:
    best, worst = f["trades"].best_and_worst()
    yield ("Best Pair", f"{f['best_pair']['key']} {f['best_pair']['profit_total']:.2%}")
    yield ("Worst Pair", f"{f['worst_pair']['key']} {f['worst_pair']['profit_total']:.2%}")
    yield ("Best trade", f"{best['pair']} {best['profit_ratio']:.2%}")
    yield ("Worst trade", f"{worst['pair']} {worst['profit_ratio']:.2%}")
    yield ("Best day", _coin(f["backtest_best_day_abs"], f))
    yield ("Worst day", _coin(f["backtest_worst_day_abs"], f))
    yield ("Days win/draw/lose", f"{f['winning_days']} / {f['draw_days']} / {f['losing_days']}")
    for title, who in (("Winners", "winner"), ("Losers", "loser")):
        held = " / ".join(f[f"{who}_holding_{what}"] for what in ("min", "max", "avg"))
        yield (f"Min/Max/Avg. Duration {title}", held)
    yield ("Max Consecutive Wins / Loss", f"{f['max_consecutive_wins']} / {f['max_consecutive_losses']}")


def _drawdown(f: Figures) -> Iterator[Row]:
    yield ("Max % of account underwater", f"{f['max_relative_drawdown']:.2%}")
    yield ("Absolute drawdown", f"{_coin(f['max_drawdown_abs'], f)} ({f['max_drawdown_account']:.2%})")
    yield ("Drawdown duration", f["drawdown_duration"])
    yield ("Profit at drawdown start", _coin(f["max_drawdown_high"], f))
    yield ("Profit at drawdown end", _coin(f["max_drawdown_low"], f))
    yield from (("Drawdown start", f["drawdown_start"]), ("Drawdown end", f["drawdown_end"]))


def _wallet(f: Figures) -> Iterator[Row]:
    w = f["wallet_stats"]
    yield _EMPTY
    yield ("Wallet based Metrics", "")
    yield (
        "Min/Max balance (wallet balance)", f"{_coin(w['low_balance'], f)} / {_coin(w['high_balance'], f)}"
    )  # fmt: skip
    yield ("Min/Max balance dates (wallet balance)", f"{w['low_date']} / {w['high_date']}")
    yield ("Max % of account underwater (balance)", f"{w['max_relative_drawdown']:.2%}")
    yield (
        "Absolute drawdown (wallet balance)",
        f"{_coin(w['max_drawdown_abs'], f)} ({w['max_drawdown_account']:.2%})",
    )
    yield ("Drawdown duration", w["drawdown_duration"])
    yield ("Profit at drawdown start", _coin(w["max_drawdown_high"], f))
    yield ("Profit at drawdown end", _coin(w["max_drawdown_low"], f))
    yield from (("Drawdown start", w["drawdown_start"]), ("Drawdown end", w["drawdown_end"]))
    for name in ("sharpe", "sortino", "calmar"):
        yield (f"{name.capitalize()} (daily wallet balance)", f"{w[name]:.2f}")


def _coin(amount: float, figures: Figures, *, named: bool = True) -> str:
    text = f"{amount:.{figures['stake_currency_decimals']}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{text} {figures['stake_currency']}" if named else text
