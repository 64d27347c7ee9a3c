"""Put positions, purses, margin and clearing together, around an exchange that is yet to be made.

Not here: any of the parts. Invariant: opening balances in the asset of settlement are deposits like any
other.
"""

from __future__ import annotations

from dataclasses import replace

from venues.sandbox.accounts import Account
from venues.sandbox.config_values import ConfigError
from venues.sandbox.exchange import Exchange
from venues.sandbox.instrument import Instrument
from venues.sandbox.perpetual.brackets import LARGE, LARGE_ASSETS, OTHERS, Brackets
from venues.sandbox.perpetual.clearing import Clearing
from venues.sandbox.perpetual.margin import Margins
from venues.sandbox.perpetual.positions import DEFAULT_LEVERAGE, Positions
from venues.sandbox.perpetual.purses import DEPOSITS, INSURANCE, Purses, cross
from venues.sandbox.perpetual.settings import PerpetualConfig
from venues.sandbox.perpetual.settlement import MarginSettlement
from venues.sandbox.truth import TruthLog
from venues.sandbox.units import money_from_text, money_text


def contracts_of(instruments: list[Instrument], asset: str) -> list[Instrument]:
    """The contracts on pairs; ConfigError for a pair that is not quoted in the asset of settlement."""
    for one in instruments:
        if one.quote != asset:
            raise ConfigError(
                f"feed: expected pairs quoted in {asset}, as contracts settle in it, got {one.pair} "
                '(a made-up market has crosses unless "crosses" is [])'
            )
    return [replace(one, settle=asset) for one in instruments]


def check_contracts(config: PerpetualConfig, instruments: list[Instrument]) -> None:
    """ConfigError for a setting that the market has no contract for."""
    symbols = [one.symbol for one in contracts_of(instruments, config.asset)]
    for key in (*config.brackets, *config.funding_rates):
        if key not in symbols:
            raise ConfigError(f"perpetuals: expected one of {', '.join(symbols)}, got {key!r}")


class Perpetuals:
    """Everything that a venue of contracts has beside its exchange."""

    def __init__(
        self,
        config: PerpetualConfig,
        instruments: list[Instrument],
        accounts: list[Account],
        truth: TruthLog,
        rates: tuple[int, int],
    ) -> None:
        self.config = config
        self.asset = config.asset
        symbols = [one.symbol for one in instruments]
        self.positions = Positions(symbols)
        self.purses = Purses(self._told)
        self.brackets = {
            one.symbol: Brackets(
                config.brackets.get(one.symbol) or (LARGE if one.base in LARGE_ASSETS else OTHERS)
            )
            for one in instruments
        }
        self.margins = Margins(
            self.positions,
            self.purses,
            self.brackets,
            lambda symbol: self.clearing.mark(symbol),
            lambda account, symbol: self._exchange.open_orders(account, symbol),
        )
        self._truth = truth
        self._accounts = accounts
        self.settlement = MarginSettlement(truth, *rates, self.asset, self.purses, self.margins)

    def join(self, exchange: Exchange) -> None:
        """Let the exchange be watched."""
        self._exchange = exchange
        self.clearing = Clearing(exchange, self.settlement, self.margins, self.config)
        exchange.watch = self.clearing
        self.settlement.expire = lambda order: exchange.end(order, "EXPIRED")

    def open(self) -> None:
        """The market shows its first prices, and accounts get their first money."""
        self.clearing.open()
        for account in self._accounts:
            for position in self.positions.of(account.name).values():
                position.leverage = min(DEFAULT_LEVERAGE, self.brackets[position.symbol].most_leverage)
            amount = account.free.setdefault(self.asset, 0)
            account.locked.setdefault(self.asset, 0)
            self.purses.move(DEPOSITS, cross(account.name), amount, "deposit")
        self.purses.move(DEPOSITS, INSURANCE, money_from_text(self.config.insurance_fund), "deposit")

    def _told(self, source: str, target: str, amount: int, why: str) -> None:
        self._truth.write(
            "entry",
            self.settlement.clock,
            {"from": source, "to": target, "asset": self.asset, "amount": money_text(amount), "why": why},
        )
