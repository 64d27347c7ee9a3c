"""A run's result as people read it: a few tables, and the commands that tell more.

Not here: the numbers themselves (`summary`, `commands.run`). Invariant: nothing is computed here.
"""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from runtime.output import console, table


def show_result(result: Mapping[str, Any]) -> None:
    """Print the result of `parley run`."""
    out = console()
    decided = ", ".join(f"{count} {name}" for name, count in result["decisions"].items() if count)
    candles = result["candles"]
    counted = ", ".join(f"{name} {count}" for name, count in candles.items() if count is not None)
    title = f"run {result['run_id']}"
    facts = Table(box=None, show_header=False, padding=(0, 1), title=title, title_justify="left")
    facts.add_column(style="dim")
    facts.add_column()
    quote = result["quote"]
    fall = f"{result['max_drawdown']:.2%}"
    rows = [
        ("rounds", f"{result['rounds']}: {decided}"),
        (
            "orders, fills",
            f"{result['orders']} orders, {result['fills']} fills ({result['maker_fills']} as maker)",
        ),
        ("PnL", f"{_money(result['pnl'])} {quote} after {_money(result['fees'])} {quote} of fees"),
        (
            "equity",
            f"{_money(result['equity_start'])} to {_money(result['equity_end'])} {quote}, drawdown {fall}",
        ),
        ("candles", f"{counted}; {result['candles_per_second']} a second, {result['seconds']} s"),
        ("memory", f"{result['peak_memory_mb']['total']} MB at most, all processes"),
        (
            "ledger",
            "equals the exchange" if result["ledger_equals_exchange"] else "DIFFERS from the exchange",
        ),
        ("decisions", f"hash {result['decision_hash'][:16]}"),
        ("journal", result["journal"]),
        ("go on with", f"{result['replay']}, parley rounds, parley explain rnd_..."),
    ]
    if result.get("crossings"):
        worth, spared = (f"{_money(result[name])} {quote}" for name in ("crossed", "saved"))
        told = f"{result['crossings']} times, worth {worth}: about {spared} of fees and spread saved"
        rows.insert(2, ("met inside", told))
    rows[2:2] = [(f"at {name}", _at(each, quote)) for name, each in result.get("by_exchange", {}).items()]
    if result["desk_lives"] > 1:
        rows.insert(-2, ("desk", f"{result['desk_lives']} lives: it ended and went on where it had been"))
    for name, text in rows:
        facts.add_row(name, str(text))
    out.print(facts)
    out.print(pnl_table(result))
    out.print(influence_table(result))


def pnl_table(result: Mapping[str, Any]) -> Table:
    """What each agent earned; ``result`` is a summary as JSON has it."""
    made = table("agent", "accepted", "fills", f"PnL {result['quote']}", title="PnL by agent")
    for agent, line in result["pnl_by_agent"].items():
        made.add_row(agent, str(line["accepted"]), str(line["fills"]), _money(line["pnl"]))
    return made


def influence_table(result: Mapping[str, Any]) -> Table:
    """Which role changed how many rounds."""
    made = table("role", "rounds", title="who changed what")
    for role, counts in result["influence"].items():
        made.add_row(role, ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items()))
    return made


def _at(traded: Mapping[str, Any], quote: str) -> str:
    counted = f"{traded['orders']} orders, {traded['fills']} fills"
    return f"{counted}, {_money(traded['volume'])} {quote} traded, {_money(traded['fees'])} {quote} of fees"


def _money(text: str) -> str:
    return f"{float(text):,.2f}"
