"""freqtrade strategies in paper: from their configuration and a desk's settings to a run on the sandbox.

Problem: a strategy's candles, pairs, money and fee come from freqtrade's configuration, the desk's agents and
limits from Parley's settings. Here both become the settings of one run and its agents: each strategy in a
process of its own, its `dry_run_wallet` its share of the account, the recorded candles the market.

Not here: how a strategy trades (`freqtrade_agent`), starting anything (`commands.run`), backtests of the same
(`desk_strategies`). Of the desk's own strategies only those sit at the table that its settings name.

Invariant: a strategy that cannot trade in paper is refused before anything is started.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
from pandas import DataFrame

from backtest.candles import milliseconds
from freqtrade_bridge.options import Options
from parley.agent import AgentSpec
from parley.errors import UserError
from runtime.desk_strategies import (
    WIDEST,
    Chosen,
    capital_of,
    choose,
    instrument_of,
    others_of,
    refuse_same_names,
)
from runtime.launch import Market, make_run
from runtime.marketstore.formats import write_parquet
from runtime.recorded_market import recorded_market
from runtime.run_config import RunConfig
from runtime.settings import Settings
from venues.recorded import MAX_DECIMALS

AGENT: Final = "runtime.freqtrade_agent:make"
HEARD: Final = ("MarketBatch", "Decision", "Fill", "OrderEvent", "VenueReject")
HISTORY: Final = 500  # candles before the start that the venue serves
_COLUMNS: Final = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class Paper:
    """A run on paper: its settings, and what composes it of them."""

    settings: Settings
    compose: Callable[[Settings, Market, str], RunConfig]
    market: Market


def plan(settings: Settings, options: Options, folder: Path, *, consent: bool) -> Paper:
    """Load the strategies, write their candles where the venue finds them, and say how to run them.

    Parameters
    ----------
    folder : an empty folder for the market
    consent : nobody at the table objects, only the gate

    Raises
    ------
    UserError
        When a strategy cannot be loaded or cannot trade in paper, or settings or candles are wrong.
    """
    chosen = choose(options)
    first = chosen[0].settings
    for each in chosen:
        _refuse_what_is_not_there(each)
    fees = {each.settings.fee for each in chosen}
    if len(fees) > 1:
        raise UserError(f"strategies on one account pay one fee, these {sorted(fees)}")
    begin = min(int(each.analysed.start.timestamp() * 1000) for each in chosen)
    end = max(int(each.analysed.end.timestamp() * 1000) for each in chosen) + first.timeframe_ms
    pairs = _write_market(chosen, folder, begin - HISTORY * first.timeframe_ms, end)
    fee = Decimal(repr(first.fee))
    own = settings.model_copy(update={
        "data": folder, "exchange": first.exchange, "pairs": pairs, "timeframe": first.timeframe,
        "start": _moment(begin), "end": _moment(end), "quote": first.stake_currency,
        "capital": capital_of(chosen), "crosses": "none", "maker_fee": fee, "taker_fee": fee,
        "desk": settings.desk.model_copy(update={"placement": "spread"}),
        "limits": {**(WIDEST if consent else {}), **settings.limits},
    })  # fmt: skip
    agents = tuple(_specs(chosen, options, begin))

    def compose(of: Settings, market: Market, run_id: str) -> RunConfig:
        run = make_run(of, market, run_id)
        others = tuple(others_of(run, settings, consent=consent))
        refuse_same_names(agents, others)
        return msgspec.structs.replace(run, agents=(*agents, *others))

    market = replace(recorded_market(own), decimals=_decimals(chosen))
    return Paper(settings=own, compose=compose, market=market)


def _decimals(chosen: list[Chosen]) -> dict[str, tuple[int, int]]:
    """How finely the strategies' exchange lets prices and quantities be: the venue must round no coarser."""
    grids = {
        pair: instrument_of(spec, each.settings)
        for each in chosen
        for pair, spec in each.analysed.pairs.items()
    }
    return {pair: (_places(grid.tick), _places(grid.lot)) for pair, grid in grids.items()}


def _places(step: Decimal) -> int:
    return min(MAX_DECIMALS, max(0, -step.normalize().as_tuple().exponent))  # type: ignore[operator]


def _refuse_what_is_not_there(each: Chosen) -> None:
    """Refuse pairs without candles, traded or only looked at: on paper they are heard or not there."""
    prepared, strategy = each.prepared, each.analysed.strategy
    if prepared.skipped:
        raise UserError(
            f"there are no candles of {', '.join(prepared.skipped)} in the time range:"
            " leave these pairs out of the whitelist, or name others with --pairs"
        )
    looked_at = {str(pair) for pair, *_ in strategy.gather_informative_pairs()}
    if untold := sorted(looked_at - prepared.candles.keys()):
        raise UserError(
            f"strategy {strategy.get_strategy_name()!r} looks at {', '.join(untold)}:"
            " on paper these pairs have to be in the whitelist too"
        )


def _specs(chosen: list[Chosen], options: Options, begin_ms: int) -> Iterator[AgentSpec]:
    for each in chosen:
        name = each.analysed.strategy.get_strategy_name()
        asked = asdict(options) | {"strategy": name, "strategy_list": (), "given": None}
        told = _plain({key: value for key, value in asked.items() if value is not None})
        yield AgentSpec(
            id=each.agent, role="strategy", factory=AGENT, subscriptions=HEARD, own_rounds=True, outside=True,
            params={"options": told, "begin_ms": begin_ms},
        )  # fmt: skip


def _plain(value: Any) -> Any:
    """The value in JSON's types; paths absolute, since an agent's process has another folder."""
    match value:
        case Path():
            return str(value.resolve())
        case dict():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case _:
            return value


def _write_market(chosen: list[Chosen], folder: Path, begin: int, end: int) -> tuple[str, ...]:
    frames: dict[str, DataFrame] = {}
    for each in chosen:
        for pair, frame in each.prepared.candles.items():
            frames.setdefault(pair, frame)
    first = chosen[0].settings
    for pair, frame in frames.items():
        dates = milliseconds(frame["date"])
        rows = (dates >= begin) & (dates < end)
        columns: dict[str, pa.Array] = {"date": pa.array(dates[rows], pa.timestamp("ms", tz="UTC"))}
        columns |= {name: pa.array(frame[name].to_numpy(float)[rows]) for name in _COLUMNS}
        name = f"{first.exchange}-{pair.replace('/', '_')}-{first.timeframe}.parquet"
        write_parquet(pa.table(columns), folder / name)
    return tuple(frames)


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
