"""What became of a decided order at each exchange it was shared out to.

Problem: a part of a decision is several orders where it is sliced or priced anew, and an order of the first
exchange does not name it.

Not here: who shares it out (`orchestrator.routing`), how it looks (`commands.explain`).

Invariant: every order of the round is counted in one part; a desk at one exchange has no parts.
"""

from collections.abc import Mapping, Sequence

from parley.instruments import exchange_of, plain
from parley.messages import PlanLeg
from parley.money import ZERO, average, exact
from runtime.story import OrderStory, Part


def parts_of(plan: Sequence[PlanLeg], orders: Sequence[OrderStory], names: Mapping[str, str]) -> list[Part]:
    """Put the orders of a round together by the decided legs they work.

    Parameters
    ----------
    names : exchanges by what stands in their symbols (`by_exchange.exchanges`); empty: there is one
    """
    if not names:
        return []
    sent: dict[tuple[int, str], list[OrderStory]] = {(n, leg.symbol): [] for n, leg in enumerate(plan)}
    for order in orders:
        sent.setdefault((order.leg, order.symbol), []).append(order)
    return [
        _part(n, plan[n] if n < len(plan) and plan[n].symbol == symbol else own[0], own, names)
        for (n, symbol), own in sent.items()
    ]


def _part(
    index: int, decided: PlanLeg | OrderStory, orders: Sequence[OrderStory], names: Mapping[str, str]
) -> Part:
    part = Part(
        leg=index, exchange=names[exchange_of(decided.symbol)], symbol=plain(decided.symbol),
        side=decided.side, qty=decided.qty, px=decided.px, orders=len(orders),
    )  # fmt: skip
    paid = ZERO
    with exact():
        for order in orders:
            part.fills += len(order.fills)
            part.filled += order.filled
            paid += order.filled * (order.avg_px or ZERO)
            for asset, fee in order.fees.items():
                coin = plain(asset)
                part.fees[coin] = part.fees.get(coin, ZERO) + fee
        part.avg_px = average(paid, part.filled) if part.filled else None
    return part
