"""What Binance says for contracts: codes and texts that differ from spot.

Not here: when an error applies; errors of requests as such (`binance.errors`). Invariant: every reason of the
engine has a code of the contracts' table.
"""

from __future__ import annotations

from typing import Final

from venues.sandbox.binance.errors import VenueError
from venues.sandbox.refusals import Reason

_WORDS: Final = {
    Reason.CLIENT_ID: (-4015, "Client order id is not valid."),
    Reason.NO_MARKET_YET: (-4108, "This symbol has no market data yet."),
    Reason.NO_MARKET_ANY_MORE: (
        -4108,
        "Symbol is on delivering or delivered or settling or closed or pre-trading.",
    ),
    Reason.QUANTITY_TOO_SMALL: (-4004, "Quantity less than min quantity."),
    Reason.QUANTITY_TOO_LARGE: (-4005, "Quantity greater than max quantity."),
    Reason.QUANTITY_OFF_GRID: (-1111, "Precision is over the maximum defined for this asset."),
    Reason.PRICE_TOO_LOW: (-4013, "Price less than min price."),
    Reason.PRICE_TOO_HIGH: (-4002, "Price greater than max price."),
    Reason.PRICE_OFF_GRID: (-4014, "Price not increased by tick size."),
    Reason.PRICE_FAR_BELOW: (-4024, "Price is lower than mark price multiplier floor."),
    Reason.PRICE_FAR_ABOVE: (-4016, "Price is higher than mark price multiplier cap."),
    Reason.NOTIONAL: (-4164, "Order's notional must be no smaller than 5 (unless you choose reduce only)."),
    Reason.DUPLICATE: (-4116, "ClientOrderId is duplicated."),
    Reason.TOO_MANY_ORDERS: (-2025, "Reach max open order limit."),
    Reason.TOO_MANY_STOPS: (-4045, "Reach max stop order limit."),
    Reason.WOULD_TRIGGER: (-2021, "Order would immediately trigger."),
    Reason.WOULD_MATCH: (
        -5022,
        (
            "Due to the order could not be executed as maker, the Post Only order will be rejected. "
            "The order will not be recorded in the order history"
        ),
    ),
    Reason.WOULD_NOT_FILL: (
        -5021,
        (
            "Due to the order could not be filled immediately, the FOK order has been rejected. "
            "The order will not be recorded in the order history"
        ),
    ),
    Reason.NOTHING_FOR_AMOUNT: (-4004, "Quantity less than min quantity."),
    Reason.INSUFFICIENT: (-2018, "Balance is insufficient."),
    Reason.MARGIN: (-2019, "Margin is insufficient."),
    Reason.NOT_REDUCING: (-2022, "ReduceOnly Order is rejected."),
    Reason.TOO_LARGE_FOR_LEVERAGE: (
        -2027,
        "Exceeded the maximum allowable position at current leverage.",
    ),
    Reason.NOT_OPEN: (-2011, "Unknown order sent."),
}


def spelled(reason: Reason) -> VenueError:
    """What Binance says for a reason of the engine."""
    return VenueError(*_WORDS[reason])


def use_algo_orders() -> VenueError:
    """Orders that wait for a price have an endpoint of their own since December 2025."""
    return VenueError(
        -4120, "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead."
    )


def wrong_position_side() -> VenueError:
    """Only in hedge mode an order names a side of the position, and there it has to."""
    return VenueError(-4061, "Order's position side does not match user's setting.")


def same_position_side() -> VenueError:
    """The position mode is what it already was."""
    return VenueError(-4059, "No need to change position side.")


def same_assets_mode() -> VenueError:
    """The assets that are margin are what they already were."""
    text = "Adjusted asset mode is currently set and does not need to be adjusted repeatedly."
    return VenueError(-4171, text)


def isolated_positions() -> VenueError:
    """Isolated positions stand against margin of several assets."""
    text = "Unable to adjust to Multi-Assets mode with symbols of USDⓈ-M Futures under isolated-margin mode."
    return VenueError(-4167, text)


def no_isolated_margin() -> VenueError:
    """With margin of several assets no position has a purse of its own."""
    return VenueError(-4168, "Unable to adjust to isolated-margin mode under the Multi-Assets mode.")


def same_margin_type() -> VenueError:
    """The margin type is what it already was."""
    return VenueError(-4046, "No need to change margin type.")


def has_orders() -> VenueError:
    """Open orders stand against a change of the margin type."""
    return VenueError(-4047, "Margin type cannot be changed if there exists open orders.")


def has_position() -> VenueError:
    """A position stands against a change of the margin type."""
    return VenueError(-4048, "Margin type cannot be changed if there exists position.")


def bad_leverage(leverage: int) -> VenueError:
    """Nobody may have this leverage."""
    return VenueError(-4028, f"Leverage {leverage} is not valid")


def leverage_needs_margin() -> VenueError:
    """A position or orders would need more margin than there is."""
    return VenueError(-2028, "Leverage is smaller than permitted: insufficient margin balance.")


def no_leverage_reduction() -> VenueError:
    """An isolated position keeps at least its leverage."""
    return VenueError(
        -4161, "Leverage reduction is not supported in Isolated Margin Mode with open positions."
    )
