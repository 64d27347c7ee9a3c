"""The running sums of the wallet are those of adding up all open trades anew, whatever came in between."""

import random

import numpy as np
import pytest

from backtest.tables import address
from parley.kernels import wallet
from parley.kernels.records import TRADE
from tests.unit.kernels.desks import LooseDesk

SLOTS = 12


def added_up(desk: LooseDesk, stakes: list[float]) -> float:
    total, rest = 0.0, 0.0
    for stake in stakes:
        total, rest = wallet.add_up(desk.desk["compensated"], total, rest, stake)
    return wallet.summed(total, rest)


@pytest.mark.parametrize("compensated", [0, 1])
@pytest.mark.parametrize("seed", range(5))
def test_sums_follow_trades_that_come_go_and_change(compensated: int, seed: int) -> None:
    dice = random.Random(seed)
    loose = LooseDesk()
    desk = loose.desk
    trades = np.zeros(SLOTS, TRADE)
    trades["slot"] = np.arange(SLOTS)
    open_slots, sums = np.zeros(SLOTS, np.int64), np.zeros(wallet.SUMS * SLOTS)
    desk["trades"], desk["open_slots"], desk["sums"] = address(trades), address(open_slots), address(sums)
    desk["compensated"] = compensated
    held: list[int] = []
    for _ in range(200):
        free = [slot for slot in range(SLOTS) if slot not in held]
        deed = dice.choice(["open", "close", "change", "look", "look"])
        if deed == "open" and free:
            held.append(dice.choice(free))
            trades[held[-1]]["stake_amount"] = dice.uniform(0.0, 1e3)
        elif deed == "close" and held:
            place = dice.randrange(len(held))
            del held[place]
            desk["summed"] = min(int(desk["summed"]), place)
        elif deed == "change" and held:
            slot = dice.choice(held)
            trades[slot]["stake_amount"] = dice.uniform(0.0, 1e3)
            wallet.forget_sums(desk, trades[slot])
        open_slots[: len(held)] = held
        desk["open_count"] = len(held)
        if deed == "look":
            stakes = [float(trades[slot]["stake_amount"]) for slot in held]
            assert wallet.tied_up(desk) == added_up(loose, stakes)
