"""What contracts tie up of an account: free collateral, and the maintenance margin below which a venue sells.

Problem: the cash of an account with linear perpetuals is no money to spend. A short's proceeds lie in it, a
long's price is missing from it, and what the venue wants is a share of the value. So what may be spent is
worked out from both.

Formulas are those of Binance USD-M in single-asset mode
(https://www.binance.com/en/support/faq/liquidation-protocols-360033525271): maintenance margin is
value * rate - amount of the tier the value lies in. A profit that is not realised frees nothing here.

Not here: where tiers come from (`Instrument.tiers`), the venue's own check.

Invariant: a contract without tiers has no known maintenance margin, which whoever asks refuses.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from parley.instruments import ZERO, Instrument, Tier, assets_of
from parley.messages import Position


def maintenance(value: Decimal, tiers: Sequence[Tier]) -> Decimal | None:
    """Return what a venue wants behind a position of a value >= 0, in quote; None beyond the last tier."""
    for tier in tiers:
        if value <= tier.up_to:
            return max(ZERO, value * tier.rate - tier.amount)
    return None


def of_all(by_asset: Mapping[str, Decimal], contracts: Mapping[str, Sequence[Tier]]) -> Decimal | None:
    """Sum the maintenance margin over values by asset (absolute, quote); what is no contract needs none."""
    total = ZERO
    for asset, value in by_asset.items():
        if asset in contracts and value:
            least = maintenance(value, contracts[asset])
            if least is None:
                return None
            total += least
    return total


def collateral(
    cash: Decimal, positions: Sequence[Position], instruments: Mapping[str, Instrument]
) -> Decimal:
    """Return the quote money that new orders may use: cash alone where there are no contracts.

    Wallet (cash plus what positions cost), less their losses, less the margin they tie up at the mark.
    """
    free = cash
    for position in positions:
        instrument = instruments.get(position.symbol)
        if instrument is not None and instrument.is_contract and position.qty:
            value = position.qty * position.mark
            free += min(value, value - position.unrealised) - abs(value) * instrument.margin
    return free


def tiers_by_asset(instruments: Mapping[str, Instrument]) -> dict[str, tuple[Tier, ...]]:
    """Return the maintenance tiers of all contracts, by the asset that a position of them is."""
    return {assets_of(i.symbol)[0]: i.tiers for i in instruments.values() if i.is_contract}
