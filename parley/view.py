"""The account as an agent may know it: lookups over the last `StateView`.

Built by whoever hosts the agent from the `StateView` messages it received. It is
read-only and has a version; agents keep no money state beside it.
"""

from decimal import Decimal

from .instruments import plain
from .messages.account import Cash, Holding, Position, Reservation, StateView, WorkingOrder

ZERO = Decimal(0)


class FirmView:
    """Lookups by symbol, asset and agent over one `StateView`."""

    __slots__ = ("_cash", "_day_loss", "_drawdown", "_positions", "state")

    def __init__(self, state: StateView) -> None:
        self.state = state
        self._positions = {p.symbol: p for p in state.positions}
        self._cash = {c.asset: c for c in state.cash}
        self._drawdown: Decimal | None = None  # worked out when asked for: a state never changes
        self._day_loss: Decimal | None = None

    @property
    def version(self) -> int:
        return self.state.state_version

    def position(self, symbol: str) -> Position | None:
        return self._positions.get(symbol)

    def cash(self, asset: str) -> Cash | None:
        return self._cash.get(asset)

    def free(self, asset: str) -> Decimal:
        """What of an asset is neither spent nor reserved; zero when the asset is unknown."""
        cash = self._cash.get(asset)
        return cash.total - cash.reserved if cash else ZERO

    @property
    def money(self) -> Decimal | None:
        """What of the account's currency is free, over all exchanges; None where nothing is told of it."""
        purses = [c.total - c.reserved for c in self._cash.values() if plain(c.asset) == self.state.quote]
        return sum(purses, ZERO) if purses else None

    def holding(self, agent: str, symbol: str) -> Holding | None:
        """What an agent itself holds of a symbol."""
        for holding in self.state.holdings:
            if holding.agent == agent and holding.symbol == symbol:
                return holding
        return None

    def reserved(self, agent: str, symbol: str) -> tuple[Reservation, ...]:
        """Decisions of an agent on a symbol which are still being worked."""
        return tuple([r for r in self.state.reservations if r.agent == agent and r.symbol == symbol])

    def orders(self, symbol: str) -> tuple[WorkingOrder, ...]:
        return tuple([o for o in self.state.orders if o.symbol == symbol])

    @property
    def drawdown(self) -> Decimal:
        """Fall from the peak as a fraction of it, in [0, 1]."""
        found = self._drawdown
        if found is None:
            peak = self.state.peak
            found = self._drawdown = (peak - self.state.equity) / peak if peak > 0 else ZERO
        return found

    @property
    def day_loss(self) -> Decimal:
        """Loss since the start of the UTC day as a fraction of the equity then; zero on a gain."""
        found = self._day_loss
        if found is None:
            start = self.state.day_open
            found = max(ZERO, (start - self.state.equity) / start) if start > 0 else ZERO
            self._day_loss = found
        return found
