"""Why a simulation does not start or stops."""

from parley.errors import UserError


class NotSupported(UserError):
    """A setting or a callback this engine does not simulate yet: refused, never ignored."""


class OddAnswer(NotSupported):
    """A callback answered what freqtrade may go on with or stop at: names callback, expected and actual."""


class SimulationError(UserError):
    """freqtrade would stop here too: a stake above every margin tier, a price of zero, a broken callback."""


class WrongAnswer(SimulationError):
    """A callback answered what is no number: names callback, expected and actual."""
