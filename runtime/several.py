"""Several exchanges under one desk: which they are, and what lies at each of them.

Problem: a run names pairs once and an exchange once; a desk that routes its orders over several trades the
same pairs at each, with money that lies there before anything is bought. What is true of one exchange is told
here in the settings of a run at that exchange alone, so that everything that starts an exchange needs to know
of one only.

Not here: names (`parley.instruments`), who routes (`orchestrator.routing`), how they are spoken to
(`venues.several`).

Invariant: the parts of the capital sum to it.
"""

from collections.abc import Mapping, Sequence
from decimal import ROUND_FLOOR, Decimal
from typing import Final

from parley.errors import UserError
from parley.execution.routing import MOST_VENUES
from parley.instruments import at
from runtime import contracts
from runtime.settings import Settings

_CENT: Final = Decimal("0.01")


def check(settings: Settings) -> None:
    """Refuse what a desk of several exchanges cannot do; `UserError` names what was expected.

    Raises
    ------
    ConfigError
        When nobody certified one of the exchanges.
    """
    if not settings.also:
        return
    names = (settings.venue, *settings.also)
    if len(set(names)) != len(names):
        raise UserError(
            f"also: expected exchanges other than {settings.venue!r}, each once, was {_said(settings)}"
        )
    if len(names) > MOST_VENUES:
        raise UserError(f"also: expected at most {MOST_VENUES - 1} further exchanges, was {len(names) - 1}")
    if settings.pace == "max":
        raise UserError("also: several exchanges run by the clock: expected a --speed such as 600, was 'max'")
    if settings.trades:
        raise UserError("also: expected candles or the made-up market, was recorded trades of one exchange")
    if any(contracts.are_traded(each) for each in of_each(settings).values()):
        raise UserError(f"also: expected exchanges of spot pairs, was {_said(settings)} with contracts")
    if settings.desk.venue_stops:
        raise UserError("also: stops at the exchange are held at one only: expected desk.venue_stops = false")


def of_each(settings: Settings) -> Mapping[str, Settings]:
    """Return by exchange the settings of a run there alone; the desk's first one is named ``""``."""
    count = 1 + len(settings.also)
    part = (settings.capital / count).quantize(_CENT, ROUND_FLOOR)
    first = settings.capital - part * (count - 1)
    found = {"": settings.model_copy(update={"also": (), "capital": first})}
    for exchange in settings.also:
        found[exchange] = settings.model_copy(
            update={"also": (), "venue": exchange, "capital": part, "port": 0, "crosses": "none"}
        )
    return found


def with_all(amounts: Mapping[str, Decimal], quote: str, exchanges: Sequence[str]) -> dict[str, Decimal]:
    """Add to amounts by asset what the account's currency is allowed, for that of each further exchange."""
    return {**amounts, **{at(quote, exchange): amounts[quote] for exchange in exchanges if quote in amounts}}


def _said(settings: Settings) -> str:
    return repr(",".join(settings.also))
