"""What a stated confidence is worth: a Platt map per agent, fitted as outcomes mature.

The chance of being right is a logistic function of the stated confidence's log-odds,
``sigmoid(slope * logit(conf) + intercept)``. Slope and intercept follow by online
Newton steps from the identity map (1, 0), which is believed like ``PRIOR`` outcomes; so
one or two surprises move nothing, and over-confidence is taken back as evidence comes.

Not here: weights (`experts`).

Invariant: a calibrated confidence is in (0, 1) whatever was said or happened.
"""

from math import exp, isfinite, log

import msgspec

PRIOR = 30.0  # outcomes' worth of belief that agents mean what they say
EDGE = 0.01  # a stated 0 or 1 is read as 0.01 or 0.99
SLOPE_MAX = 3.0
MEMORY = 0.999  # of the log-loss shown


class Platt(msgspec.Struct, kw_only=True):
    """One agent's map and the information it rests on (h: the posterior's precision); mutable."""

    slope: float = 1.0
    intercept: float = 0.0
    h_ss: float = PRIOR
    h_si: float = 0.0
    h_ii: float = PRIOR / 4
    n: int = 0
    log_loss: float = 0.0

    def apply(self, conf: float) -> float:
        """Map a stated confidence to a calibrated one; a non-finite one counts as 0."""
        return calibrated(conf, self.slope, self.intercept)

    def learn(self, conf: float, right: bool) -> None:
        """Take one matured outcome: what was stated, and whether it came true."""
        x = _logit(conf)
        p = _sigmoid(self.slope * x + self.intercept)
        loss = -log(p if right else 1 - p)
        self.n += 1
        self.log_loss += (loss - self.log_loss) * max(1 / self.n, 1 - MEMORY)
        v = max(p * (1 - p), 0.05)  # a saturated map must still be able to learn
        self.h_ss += v * x * x
        self.h_si += v * x
        self.h_ii += v
        error = (1.0 if right else 0.0) - p
        det = self.h_ss * self.h_ii - self.h_si * self.h_si
        self.slope += (self.h_ii * x - self.h_si) * error / det
        self.intercept += (self.h_ss - self.h_si * x) * error / det


def calibrated(conf: float, slope: float, intercept: float) -> float:
    """Map a stated confidence by a given line on its log-odds; the slope counts within [0, 3]."""
    return _sigmoid(min(SLOPE_MAX, max(0.0, slope)) * _logit(conf) + intercept)


def _logit(conf: float) -> float:
    c = min(1 - EDGE, max(EDGE, conf)) if isfinite(conf) else EDGE
    return log(c / (1 - c))


def _sigmoid(x: float) -> float:
    x = min(30.0, max(-30.0, x))
    return 1 / (1 + exp(-x))
