"""A desk without a simulation: what kernels need to round and to value, with a count of exact answers."""

from functools import partial
from typing import Any

import numpy as np

from parley.kernels import codes, exact, ports
from parley.kernels.records import DESK, PAIR, TICK, TRADE


class LooseDesk:
    """The records, and the driver that answers them exactly."""

    def __init__(self, fee: float = 0.0) -> None:
        self.table = np.zeros(1, DESK)
        self.desk: Any = self.table[0]
        self.asked: list[int] = []
        self.precision = 0.0
        self.mode = 4
        self._answers = [partial(self._answer, code) for code in range(codes.PLACES)]
        self._port = np.array([id(answer) for answer in self._answers])
        self._port[ports.FAILED] = 0
        self.desk["port"] = self._port.ctypes.data
        self.desk["fee"] = fee
        self.desk["fee_hi"] = fee
        self.desk["fee_lo"] = float(exact.decimal.Decimal(repr(fee)) - exact.decimal.Decimal(fee))

    def tick(self, way: int, step: float, scale: float, by_tick: bool, precision: float, mode: int) -> Any:
        table = np.zeros(1, TICK)
        table[0] = (0, way, step, scale, by_tick, precision, mode)
        return table[0]

    def pair(self, way: int, step: float, scale: float, contract_size: float = 1.0) -> Any:
        table = np.zeros(1, PAIR)
        table[0]["amount_way"], table[0]["amount_step"], table[0]["amount_scale"] = way, step, scale
        table[0]["contract_size"] = contract_size
        return table[0]

    def trade(self, **fields: float) -> Any:
        table = np.zeros(1, TRADE)
        for name, value in fields.items():
            table[0][name] = value
        return table[0]

    def _answer(self, code: int) -> None:
        box = self.desk["box"]
        self.asked.append(code)
        numbers = [float(x) for x in box[:4]]
        if code == codes.ASK_VALUE:
            box[0] = exact.value_with_fee(*numbers[:3])
        elif code == codes.ASK_STAKE:
            box[0] = exact.stake_of(*numbers[:3])
        elif code == codes.ASK_QUOTIENT:
            box[0] = exact.quotient(*numbers[:2])
        elif code == codes.ASK_AVERAGE:
            box[0] = exact.average_price(*numbers[:2])
        elif code == codes.ASK_AMOUNT_PRECISION:
            box[0] = exact.amount_to_precision(numbers[0], self.precision, self.mode)
        elif code == codes.ASK_PRICE_PRECISION:
            box[0] = exact.price_to_precision(numbers[0], numbers[1], int(numbers[2]), int(numbers[3]))
        else:
            raise AssertionError(f"code {code} is no question of arithmetic")
