"""What a run at a venue of contracts asks of its settings, and how its market is made of spot prices.

Problem: recorded candles and the made-up market are of spot pairs, while such a venue trades contracts on
them. A run names contracts everywhere (``BTC/USDT:USDT``); only what makes the prices is told of the pairs.

Not here: what a contract is (`parley.instruments`), which venue trades contracts (`venues.capabilities`).

Invariant: a market that is returned trades contracts at a venue of contracts, and none at any other.
"""

from collections.abc import Iterable

from parley.errors import UserError
from runtime.settings import Settings
from venues.capabilities import capabilities_of


def are_traded(settings: Settings) -> bool:
    """Whether orders go to a venue of contracts.

    Raises
    ------
    ConfigError
        When nobody certified the venue.
    """
    return capabilities_of(settings.venue).contracts


def pair_of(symbol: str) -> str:
    """Return the pair whose price a symbol follows; a spot pair is its own."""
    return symbol.partition(":")[0]


def named(pairs: Iterable[str], settings: Settings) -> tuple[str, ...]:
    """Name what is traded on pairs: contracts settled in the account's currency, or the pairs."""
    if not are_traded(settings):
        return tuple(pairs)
    return tuple(f"{pair}:{settings.quote}" for pair in pairs)


def underlying(settings: Settings) -> Settings:
    """Return the settings of the market that prices come from: the same at a spot venue.

    Raises
    ------
    UserError
        When a pair is not of the kind that the venue trades, or leverage or crosses do not fit it.
    """
    check_symbols((*settings.pairs, *settings.trades), settings)
    if not are_traded(settings):
        if settings.leverage != 1:
            raise UserError(
                f"leverage belongs to contracts: expected 1 at {settings.venue!r}, was {settings.leverage}"
            )
        return settings
    if settings.crosses not in ("auto", "none", ()):
        raise UserError(f"contracts have no crosses: expected none, was {','.join(settings.crosses)}")
    return settings.model_copy(
        update={
            "pairs": tuple(pair_of(each) for each in settings.pairs),
            "trades": {pair_of(each): file for each, file in settings.trades.items()},
            "crosses": "none",
        }
    )


def check_symbols(symbols: Iterable[str], settings: Settings) -> None:
    """Refuse a pair at a venue of contracts, and a contract elsewhere; `UserError` names what it expected."""
    has_contracts = are_traded(settings)
    for symbol in symbols:
        pair, _, settled = symbol.partition(":")
        contract = f"{pair}:{settings.quote}"
        if has_contracts and settled != settings.quote:
            raise UserError(f"{settings.venue!r} trades contracts: expected {contract!r}, was {symbol!r}")
        if settled and not has_contracts:
            raise UserError(f"{settings.venue!r} trades spot pairs: expected {pair!r}, was {symbol!r}")
