"""Balances of an account: free and locked, as exact integers.

Every change goes through the four verbs below, so a balance can only go negative by a broken
caller, and then it raises instead of continuing. Not here: orders and fees. Invariant: free and
locked are never negative; `lock` and `unlock` do not change their sum.
"""

from __future__ import annotations

from venues.sandbox.units import money_text


class Account:
    """One API key's money; amounts count 1e-16."""

    def __init__(
        self, name: str, api_key: str, secret: str, balances: dict[str, int], *, passphrase: str = "",
        can_withdraw: bool = False,
    ) -> None:  # fmt: skip
        self.name = name
        self.api_key = api_key
        self.secret = secret
        self.passphrase = passphrase  # the third part of a key, where a protocol has one
        self.can_withdraw = can_withdraw  # what the key may do; there is nothing to withdraw to
        self.free = dict(balances)
        self.locked = dict.fromkeys(balances, 0)

    def lock(self, asset: str, amount: int) -> None:
        """Set free money aside for an order."""
        self._change(self.free, asset, -amount)
        self._change(self.locked, asset, amount)

    def unlock(self, asset: str, amount: int) -> None:
        """Give money that was set aside back."""
        self._change(self.locked, asset, -amount)
        self._change(self.free, asset, amount)

    def pay_locked(self, asset: str, amount: int) -> None:
        """Spend money that was set aside."""
        self._change(self.locked, asset, -amount)

    def receive(self, asset: str, amount: int) -> None:
        """Take in the proceeds of a trade."""
        self._change(self.free, asset, amount)

    def total(self, asset: str) -> int:
        """Free and locked together."""
        return self.free.get(asset, 0) + self.locked.get(asset, 0)

    def texts(self) -> dict[str, dict[str, str]]:
        """All assets as decimal text, for the truth log."""
        return {
            asset: {"free": money_text(amount), "locked": money_text(self.locked.get(asset, 0))}
            for asset, amount in sorted(self.free.items())
        }

    def _change(self, side: dict[str, int], asset: str, amount: int) -> None:
        value = side.get(asset, 0) + amount
        if value < 0:
            raise ArithmeticError(
                f"expected a balance of at least 0, account {self.name!r} {asset} gets {value!r}"
            )
        side[asset] = value
        self.free.setdefault(asset, 0)
        self.locked.setdefault(asset, 0)
