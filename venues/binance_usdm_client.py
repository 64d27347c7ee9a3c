"""Make the unmodified ccxt.pro client of Binance's USD-M contracts, and read what it lists.

Only linear perpetuals whose contract is one coin are read: quantities are then in the coin, as elsewhere.

Not here: orders (`binance_usdm_words`, `binance_usdm_orders`). Invariant: as `ccxt_client`.
"""

import logging
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import ccxt.pro

from parley.instruments import ZERO, Instrument, Tier, assets_of
from venues.binance_urls import override_contract_urls
from venues.ccxt_client import ClientMaker, exact
from venues.port import VenueError

log = logging.getLogger(__name__)

make_client: Final = ClientMaker(ccxt.pro.binanceusdm, override_contract_urls, {"defaultType": "swap"})


def usdm_instrument(
    market: Mapping[str, Any],
    venue: str,
    leverage: int,
    fees: tuple[Decimal, Decimal],
    brackets: Sequence[Mapping[str, Any]],
) -> Instrument:
    """Read a listed contract; ``fees`` are (maker, taker) of the account, ``leverage`` what it is set to.

    Raises
    ------
    VenueError
        When it is no linear perpetual of one coin, or allows less leverage.
    """
    symbol = market["symbol"]
    if not (market["swap"] and market["linear"] and Decimal(str(market["contractSize"])) == 1):
        raise VenueError(f"{symbol}: expected a linear perpetual whose contract is one coin")
    if not brackets or int(brackets[0]["initialLeverage"]) < leverage:
        most = brackets[0]["initialLeverage"] if brackets else "none"
        raise VenueError(f"{symbol}: expected a leverage of at most {most}, was {leverage}")
    filters = {each["filterType"]: each for each in market["info"]["filters"]}
    price, lot = filters["PRICE_FILTER"], filters["LOT_SIZE"]
    notional = filters.get("MIN_NOTIONAL") or {"notional": "0"}
    base, quote = assets_of(symbol)
    maker, taker = fees
    return Instrument(
        symbol=symbol, venue=venue, base=base, quote=quote, tick=exact(price["tickSize"]),
        lot=exact(lot["stepSize"]), min_qty=exact(lot["minQty"]), max_qty=exact(lot["maxQty"]),
        min_notional=exact(notional["notional"]), maker_fee=maker, taker_fee=taker,
        margin=Decimal(1) / leverage, tiers=tuple(_tier(each) for each in brackets),
    )  # fmt: skip


def held(account: Mapping[str, Any], symbols: Mapping[str, str]) -> dict[str, Decimal]:
    """Return an account as the ledger has it, by asset: contracts held, and the wallet less what they cost.

    ``symbols`` are the symbols by the venue's ids. The wallet is the one that cross positions share: what an
    isolated one has of its own is not the desk's affair.
    """
    found = {str(each["asset"]): exact(each["crossWalletBalance"]) for each in account["assets"]}
    for position in account["positions"]:
        qty, symbol = exact(position["positionAmt"]), symbols.get(str(position["symbol"]))
        if qty and symbol is not None:
            asset, quote = assets_of(symbol)
            found[asset] = found.get(asset, ZERO) + qty
            found[quote] = found.get(quote, ZERO) - qty * exact(position["entryPrice"])
    return found


def marks_of(told: Sequence[Mapping[str, Any]], symbols: Mapping[str, str]) -> dict[str, Decimal]:
    """Return by asset the mark prices of contracts; ``symbols`` are the traded ones by the venue's ids.

    What else is listed is not read, and a contract of which the price cannot be read has no mark.

    Raises
    ------
    ValueError
        When there is not one.
    """
    marks = {}
    for each in told:
        symbol = symbols.get(str(each.get("symbol"))) if isinstance(each, Mapping) else None
        if symbol is None:
            continue
        try:
            marks[assets_of(symbol)[0]] = exact(each["markPrice"])
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            # without a mark it opens nothing; the others have theirs
            log.warning("mark_not_read symbol=%s cause=%r", symbol, error)
    if not marks:
        raise ValueError(f"expected a mark of {', '.join(symbols)}, was {str(told)[:200]}")
    return marks


def sharing(account: Mapping[str, Any], symbols: Mapping[str, str]) -> list[str]:
    """Return the venue's ids of cross positions in other contracts: the same wallet pays their losses."""
    return [
        str(each["symbol"])
        for each in account["positions"]
        if each["isolated"] is not True and str(each["symbol"]) not in symbols and exact(each["positionAmt"])
    ]


def _tier(bracket: Mapping[str, Any]) -> Tier:
    return Tier(
        exact(bracket["notionalCap"]), exact(bracket["maintMarginRatio"]), exact(bracket["cum"]),
        Decimal(1) / int(bracket["initialLeverage"]),
    )  # fmt: skip
