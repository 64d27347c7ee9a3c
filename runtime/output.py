"""What commands print: JSON for programs, rich text for people, one line for a mistake.

Not here: what is printed. Invariant: with ``--json`` standard output holds exactly one JSON object;
everything else goes to standard error.
"""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from parley.instruments import Instrument

_WIDTH_OF_FILES: Final = 200
_BLOCKS: Final = "▁▂▃▄▅▆▇█"


def plain(value: object) -> object:
    """Turn a value into what JSON has; structs become objects by field name, bytes hex, Decimals text."""
    match value:
        case msgspec.Struct():
            return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        case Mapping():
            return {str(key): plain(each) for key, each in value.items()}
        case list() | tuple():
            return [plain(each) for each in value]
        case bytes():
            return value.hex()
        case Decimal():
            return f"{value.normalize():f}" if value else "0"
        case _:
            return value


def print_json(value: object) -> None:
    """Write one JSON object to standard output."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(plain(value)), indent=2).decode() + "\n")
    sys.stdout.flush()


def console(*, stderr: bool = False) -> Console:
    """Return a console for people; plain and wide where the stream is no terminal."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else _WIDTH_OF_FILES)


def progress_bar(what: str) -> Progress:
    """Return a progress bar on standard error that leaves nothing behind."""
    return Progress(
        TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console(stderr=True), transient=True, disable=not sys.stderr.isatty(),
    )  # fmt: skip


def when(t_ns: int) -> str:
    """Show a market time, ns, to the second in UTC."""
    return (
        datetime.fromtimestamp(t_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S") if t_ns > 0 else "-"
    )


def span(ms: int) -> str:
    """Say how long something takes, in the largest unit that leaves a number of at least one."""
    for unit, size in (("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if ms >= size:
            return f"{ms / size:g} {unit}"
    return f"{ms} ms"


def money(amount: Decimal | None, digits: int = 2) -> str:
    """Show an amount rounded for reading, never as minus nothing; nothing for None."""
    return "" if amount is None else f"{round(amount, digits) + 0:,.{digits}f}"


def number(amount: Decimal | None) -> str:
    """Show a quantity or price with all its digits and no padding."""
    return "" if amount is None else f"{amount.normalize():f}"


def price(px: Decimal | None, instrument: Instrument | None) -> str:
    """Show a price on the grid of its pair, which averages and mids do not lie on; as it is if unknown."""
    return number(px if px is None or instrument is None else instrument.price(px, "near"))


def sparkline(values: list[float], width: int) -> str:
    """Draw the last values as one line of blocks."""
    shown = values[-width:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    if high == low:
        return _BLOCKS[0] * len(shown)
    return "".join(_BLOCKS[min(7, int((value - low) / (high - low) * 8))] for value in shown)


def short(round_id: str) -> str:
    """Cut a round's id to what tells it from others; commands take the beginning of an id."""
    return round_id[:14]


def table(*columns: str, title: str = "") -> Table:
    """Return a table without frames; the last column may wrap."""
    made = Table(
        box=None,
        padding=(0, 1),
        header_style="dim",
        title=title or None,
        title_justify="left",
        title_style="bold",
    )
    for column in columns:
        made.add_column(column, no_wrap=column != columns[-1], overflow="ellipsis")
    return made
