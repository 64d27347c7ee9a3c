"""From what experts earned to the weights that count: evidence blends, caps, floors, slow change.

Not here: learning (`experts`).

Invariant: the result sums to 1, and no weight leaves its box unless the boxes allow no
such sum.
"""

from collections.abc import Mapping, Sequence
from math import fsum


def blend(
    whole: Mapping[str, float], part: Mapping[str, float], trials: int, half: float
) -> dict[str, float]:
    """Mix weights over everything with those of one regime: the regime counts n / (n + ``half``)."""
    if not part or trials <= 0:
        return dict(whole)
    trust = trials / (trials + half)
    return {e: (1 - trust) * w + trust * part.get(e, w) for e, w in whole.items()}


def fit_to_boxes(target: Sequence[float], low: Sequence[float], high: Sequence[float]) -> list[float]:
    """Scale targets by one factor so that, each cut to its box, they sum to 1.

    ``target`` > 0, 0 <= ``low`` <= ``high``. Where the boxes allow no such sum, the nearest
    bounds in proportion.
    """
    least, most = fsum(low), fsum(high)
    if least >= 1:
        return [x / least for x in low]
    if most <= 1:
        return [x / most for x in high]
    # the cut sum grows with the factor and has a corner wherever an entry meets a bound
    corners = sorted({b / t for t, lo, hi in zip(target, low, high, strict=True) for b in (lo, hi)})

    def cut(factor: float) -> list[float]:
        return [min(hi, max(lo, t * factor)) for t, lo, hi in zip(target, low, high, strict=True)]

    left, right = 0, len(corners) - 1
    while right - left > 1:
        middle = (left + right) // 2
        if fsum(cut(corners[middle])) < 1:
            left = middle
        else:
            right = middle
    below, above = fsum(cut(corners[left])), fsum(cut(corners[right]))
    step = (1 - below) / (above - below) if above > below else 0.0
    return cut(corners[left] + step * (corners[right] - corners[left]))


def constrain(
    earned: Mapping[str, float],
    clusters: Sequence[Sequence[str]],
    opened: Mapping[str, float],
    *,
    floor: float,
    cap: float,
    change: float,
) -> dict[str, float]:
    """Turn earned weights into weights that count.

    Each cluster counts as one voter (the mean of what its members earned, so copies gain
    nothing), within [``floor``, ``cap``] and at most ``change`` away from its weight in
    ``opened`` (that of the start of the day; absent: free). Members share in proportion.
    """
    n = len(clusters)
    if n == 0:
        return {}
    most, least = max(cap, 1 / n), min(floor, 0.5 / n)
    target, low, high = [], [], []
    for members in clusters:
        target.append(max(1e-12, fsum(earned[m] for m in members) / len(members)))
        lo, hi = least, most
        if all(m in opened for m in members):
            start = fsum(opened[m] for m in members)
            lo = max(lo, start - change)
            hi = max(lo, min(hi, start + change))
            lo = min(lo, hi)
        low.append(lo)
        high.append(hi)
    weights: dict[str, float] = {}
    for members, weight in zip(clusters, fit_to_boxes(target, low, high), strict=True):
        total = fsum(earned[m] for m in members)
        for m in members:
            weights[m] = weight * (earned[m] / total if total > 0 else 1 / len(members))
    return {m: weights[m] for m in sorted(weights)}
