"""Learning whom to believe: prediction with expert advice, some of whom are asleep.

`Hedge` keeps one weight per expert and lowers it exponentially with the loss. A trial
moves weight among its awake experts only (specialists), so who was not asked neither
gains nor loses. A fixed share of the awake weight is spread evenly after each trial,
so that a fallen expert can come back when the best one changes. The learning rate is
AdaHedge's, ln N over the accumulated mixability gap, kept between bounds because with a
fixed share it must not fade out. `Alike` finds experts who always lose together.

Not here: what a loss is, and which limits weights obey (`weighting`).

Invariant: weights stay positive and keep their sum; all sums are exactly rounded
(`math.fsum`), so neither the order nor the names of experts change a result.
"""

from collections.abc import Mapping
from math import exp, fsum, isfinite, log, sqrt

import msgspec

TINY = 1e-12
ETA_MAX = 2.0


class Hedge(msgspec.Struct, kw_only=True):
    """Sleeping experts with fixed share; mutable.

    ``share`` in [0, 1) of the awake weight is levelled per trial; ``eta`` > 0 fixes the
    learning rate, 0 adapts it; ``gap`` is the mixability gap so far, ``trials`` how many counted.
    """

    share: float = 0.01
    eta: float = 0.0
    weights: dict[str, float] = msgspec.field(default_factory=dict)
    gap: float = 0.0
    trials: int = 0

    def join(self, expert: str) -> None:
        """Admit an expert with an average weight; the others give up in proportion. Known: no change."""
        if expert in self.weights:
            return
        n = len(self.weights) + 1
        total = fsum(self.weights.values())
        if total > 0:
            keep = (n - 1) / n / total
            for name in self.weights:
                self.weights[name] *= keep
        self.weights[expert] = 1 / n

    def rate(self, awake: int) -> float:
        """Give the learning rate for a trial of so many experts.

        AdaHedge (de Rooij, van Erven, Grunwald, Koolen 2014): ln N / gap; at least
        sqrt(8 ln N * share), which is best for switches at the rate of the share.
        """
        if self.eta > 0:
            return self.eta
        size = log(max(2, awake))
        least = min(ETA_MAX, sqrt(8 * size * max(self.share, TINY)))
        return max(least, min(ETA_MAX, size / self.gap if self.gap > 0 else ETA_MAX))

    def update(self, losses: Mapping[str, float]) -> float:
        """Learn from one trial: losses in [0, 1] of the awake; unknown experts and NaN are left out.

        Returns
        -------
        float
            The loss of the weighted mixture before the update, 0.5 when fewer than two were awake.
        """
        awake = sorted(e for e, loss in losses.items() if e in self.weights and isfinite(loss))
        if len(awake) < 2:
            return 0.5
        mass = fsum(self.weights[e] for e in awake)
        loss_of = {e: min(1.0, max(0.0, losses[e])) for e in awake}
        eta = self.rate(len(awake))
        low = min(loss_of.values())
        part = {e: self.weights[e] / mass for e in awake}
        kept = {e: part[e] * exp(-eta * (loss_of[e] - low)) for e in awake}
        z = fsum(kept.values())
        mixture = fsum(part[e] * loss_of[e] for e in awake)
        self.gap += max(0.0, mixture - (low - log(z) / eta))
        self.trials += 1
        level = self.share / len(awake)
        for e in awake:
            self.weights[e] = max(TINY, mass * ((1 - self.share) * kept[e] / z + level))
        return mixture

    def shares(self) -> dict[str, float]:
        """Give all weights, sorted by name, with sum 1."""
        total = fsum(self.weights.values())
        return {e: self.weights[e] / total for e in sorted(self.weights)} if total > 0 else {}


class Pair(msgspec.Struct, array_like=True):
    """Running moments of two experts' losses over the trials both were awake in."""

    n: float = 0.0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    yy: float = 0.0
    xy: float = 0.0

    def add(self, x: float, y: float, decay: float) -> None:
        """Take one trial; earlier ones fade by ``decay``."""
        self.n = self.n * decay + 1.0
        self.x = self.x * decay + x
        self.y = self.y * decay + y
        self.xx = self.xx * decay + x * x
        self.yy = self.yy * decay + y * y
        self.xy = self.xy * decay + x * y

    def correlation(self) -> float:
        """Pearson's correlation; 0 where one of them never varies."""
        if self.n < 2:
            return 0.0
        vx = self.xx - self.x * self.x / self.n
        vy = self.yy - self.y * self.y / self.n
        if vx <= TINY * self.n or vy <= TINY * self.n:
            return 0.0
        return (self.xy - self.x * self.y / self.n) / sqrt(vx * vy)


class Alike(msgspec.Struct, kw_only=True):
    """Who loses together: correlations of all pairs, in memory of about 1 / (1 - decay) trials."""

    decay: float = 0.998
    pairs: dict[str, Pair] = msgspec.field(default_factory=dict)

    def add(self, losses: Mapping[str, float]) -> None:
        """Take the losses of one trial's awake experts."""
        names = sorted(losses)
        for i, a in enumerate(names):
            for b in names[i + 1 :]:
                pair = self.pairs.get(f"{a}\n{b}")
                if pair is None:
                    pair = self.pairs[f"{a}\n{b}"] = Pair()
                pair.add(losses[a], losses[b], self.decay)

    def clusters(self, names: list[str], limit: float, least: float) -> list[tuple[str, ...]]:
        """Join experts whose correlation exceeds ``limit`` after ``least`` common trials, transitively.

        Returns
        -------
        list[tuple[str, ...]]
            All names once, clusters and their members sorted.
        """
        root = {n: n for n in sorted(names)}

        def find(n: str) -> str:
            while root[n] != n:
                n = root[n]
            return n

        for key in sorted(self.pairs):
            a, b = key.split("\n")
            pair = self.pairs[key]
            if a in root and b in root and pair.n >= least and pair.correlation() > limit:
                first, second = sorted((find(a), find(b)))
                root[second] = first
        groups: dict[str, list[str]] = {}
        for n in sorted(names):
            groups.setdefault(find(n), []).append(n)
        return [tuple(groups[g]) for g in sorted(groups)]
