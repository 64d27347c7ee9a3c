"""Which dead man's switch a run asks its exchanges for, and how its user is told.

Not here: keeping it (`runtime.gateway_dead_man`), what an exchange has (`venues.capabilities`).

Invariant: none is asked for that may cancel a stop which the exchange holds for us.
"""

from parley.errors import ConfigError
from runtime.settings import Settings
from venues.capabilities import CAPABILITIES


def chosen_s(settings: Settings, *, venue_stops: bool) -> int | None:
    """Return the time-out for a gateway, s; 0: none, None: the usual one.

    Raises
    ------
    ConfigError
        When one is named that may cancel the run's stops.
    """
    wanted, row = settings.desk.dead_man_s, CAPABILITIES.get(settings.venue)
    # a holding without its stop is worse than an order that goes on resting
    if venue_stops and row is not None and row.dead_man is not None and not row.dead_man.spares_stops:
        if wanted:
            raise ConfigError(
                f"desk.dead_man_s: expected 0 at {settings.venue!r} while the exchange holds the stops,"
                f" for its timer may cancel them, was {wanted}; or set desk.venue_stops = false"
            )
        return 0
    # in lock-step the market waits for us, however long we are silent
    return 0 if settings.pace == "max" else wanted


def notes(settings: Settings, *, venue_stops: bool) -> list[str]:
    """Say at which exchanges of a run it is asked for; raises as `chosen_s`."""
    seconds = chosen_s(settings, venue_stops=venue_stops)
    named = [settings.venue, *settings.also]
    having = [
        each for each in named if (row := CAPABILITIES.get(each)) is not None and row.dead_man is not None
    ]
    if seconds == 0 or not having:
        return []
    when = "a minute or two" if seconds is None else f"{seconds} s"
    return [f"{', '.join(having)} cancels what rests {when} after we fall silent (desk.dead_man_s)"]
