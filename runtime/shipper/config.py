"""What a shipper is told: which journals, which database, where to say how far behind it is.

Not here: settings of a user. Invariant: the file holds no password: an external database is named by the
environment variable DATABASE_URL alone.
"""

from pathlib import Path

from parley.errors import ConfigError
from runtime.shipper.past import PastJournal, past_journals
from runtime.unit import UnitConfig, path_of


class ShipperConfig(UnitConfig, frozen=True, kw_only=True):
    """The shipper's JSON file.

    ``journals`` are files, also such as do not exist yet; ``runs`` is a folder whose runs
    (``*/{desk,gateway}.journal``) are followed, new ones too; of those in ``past``, a folder of earlier runs,
    what was begun to be shipped or was to be is brought to its end, what was to stay out stays out.
    ``database`` is the embedded server's folder, empty when DATABASE_URL names
    another, ``name`` the database in it. ``batch`` is in records, ``poll_ms`` how long to rest when nothing
    is new.
    """

    status: str
    journals: tuple[str, ...] = ()
    runs: str = ""
    past: str = ""
    database: str = ""
    name: str = "parley"
    batch: int = 4096
    poll_ms: int = 50
    parent_pid: int = 0


def check(config: ShipperConfig) -> None:
    """Raise `ConfigError` for values that cannot be meant."""
    if not config.journals and not config.runs:
        raise ConfigError("a shipper needs 'journals' or 'runs', both are empty")
    for name, value in (("batch", config.batch), ("poll_ms", config.poll_ms)):
        if not 1 <= value <= 100_000:
            raise ConfigError(f"{name!r} must lie between 1 and 100000, was {value!r}")
    if not path_of(config.status).parent.is_dir():
        raise ConfigError(f"there is no folder {str(path_of(config.status).parent)!r} for 'status'")


def journals_of(config: ShipperConfig) -> list[Path]:
    """Return the journals that are followed and exist now, in a fixed order."""
    named = [path_of(name) for name in config.journals]
    found = [path for path in named if path.is_file()]
    return list(dict.fromkeys(found + _below(config.runs)))


def earlier_journals(config: ShipperConfig) -> dict[Path, PastJournal]:
    """Return those of earlier runs."""
    if not config.past:
        return {}
    own = {path_of(name) for name in config.journals} | set(journals_of(config))
    found = past_journals(path_of(config.past), config.database, config.name)
    return {each.path: each for each in found if each.path not in own}


def _below(runs: str) -> list[Path]:
    if not runs:
        return []
    return [path for unit in ("desk", "gateway") for path in sorted(path_of(runs).glob(f"*/{unit}.journal"))]
