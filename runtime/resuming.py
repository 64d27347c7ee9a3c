"""Going on with a run that ended: the same journals, the same decisions to account for, one more life.

Problem: on paper a run that ended is over. With real money the account goes on: what the desk holds and what
it owes is in its journals, and a desk that began anew would take its own positions for somebody else's.

Not here: what gateway and desk make of journals they find (`gateway_log`, `recovery`: start is recovery).

Invariant: nothing of an earlier start is removed or overwritten, and a run is only
gone on with under the settings it was begun with.
"""

import msgspec

from parley.errors import UserError
from parley.instruments import Instrument
from runtime import launch, leftovers
from runtime.gateway_log import recover
from runtime.history import JOURNAL_NAME, config_of, open_journal
from runtime.journal import JournalError
from runtime.real_money import BOOKS
from runtime.run_config import RunConfig
from runtime.settings import Settings
from runtime.unit import private_folder

LAST = "last"
AUTO = "auto"  # for who starts a desk without looking: a service manager after a crash, or the first time
# Of a run's configuration, what is found out at each start and decides nothing that settings could change.
_FOUND_OUT = ("origin", "instruments")


def run_named(settings: Settings, name: str) -> str:
    """Return a run's id; ``last`` is that of the newest run of the home that was traded with real money.

    ``auto`` is the same, or the empty string when there is none yet.

    Raises
    ------
    UserError
        When there is none for ``last``.
    """
    if name not in (LAST, AUTO):
        return name
    runs = settings.home.expanduser().resolve() / "runs"
    found = sorted(
        path.parent.name for path in runs.glob(f"*/{BOOKS}") if (path.parent / JOURNAL_NAME).exists()
    )
    if not found and name == AUTO:
        return ""
    if not found:
        raise UserError(f"there is no run with real money in {str(runs)!r} to go on with")
    return found[-1]


def refuse_to_forget(settings: Settings) -> None:
    """Refuse a new run while the newest one with real money holds something, or orders of it may still trade.

    Raises
    ------
    UserError
        When it does; names the run to go on with.
    """
    runs = settings.home.expanduser().resolve() / "runs"
    folders = sorted(path.parent for path in runs.glob(f"*/{BOOKS}"))
    if not folders or not (journal := folders[-1] / "gateway.journal").exists():
        return
    try:
        left = recover(journal)
        listed = msgspec.json.decode((folders[-1] / launch.INSTRUMENTS).read_bytes(), type=list[Instrument])
    except (JournalError, OSError, msgspec.MsgspecError, ArithmeticError) as error:
        raise UserError(
            f"what the run {folders[-1].name!r} still has cannot be read ({error}):"
            " say --new to begin anew all the same"
        ) from error
    held = [
        f"{amount:f} {asset}"
        for asset, amount in sorted(left.counters.positions.items())
        if any(each.base == asset and abs(amount) >= each.min_qty for each in listed)
    ]
    if left.alive:
        held.append(f"{len(left.alive)} orders that may still trade")
    if held:
        raise UserError(
            f"the run {folders[-1].name!r} still has {', '.join(held)}: go on with it by --resume"
            f" {folders[-1].name}, or say --new to leave that to its owner"
        )


def refuse_another(settings: Settings, run_id: str, run: RunConfig) -> None:
    """Refuse to go on with a run under other settings than those in its journal.

    Raises
    ------
    UserError
        When there is no such run, or it was begun with other settings; names the parts that differ.
    """
    path = settings.home.expanduser().resolve() / "runs" / run_id / JOURNAL_NAME
    if not path.exists():
        raise UserError(f"there is no run {run_id!r} to go on with: {str(path)!r} does not exist")
    if not path.with_name(BOOKS).exists():
        raise UserError(f"the run {run_id!r} was on paper, or ended before its first order: start a new one")
    begun = config_of(open_journal(path))
    differing = [
        field.name
        for field in msgspec.structs.fields(RunConfig)
        if field.name not in _FOUND_OUT and _plain(begun, field.name) != _plain(run, field.name)
    ]
    if differing:
        raise UserError(
            f"the run {run_id!r} was begun with other settings of {', '.join(differing)}:"
            " go on with those, or start a new run"
        )


def _plain(run: RunConfig, name: str) -> object:
    return msgspec.json.decode(msgspec.json.encode(getattr(run, name)))


def resume_layout(settings: Settings, run_id: str) -> launch.Layout:
    """Take the folder of an ended run up again; its configuration is written anew, its logs are kept.

    Raises
    ------
    UserError
        When there is no such run, it lives, or its folder cannot be written to.
    """
    folder = settings.home.expanduser().resolve() / "runs" / run_id
    journal = folder / JOURNAL_NAME
    if not journal.exists():
        raise UserError(f"there is no run {run_id!r} to go on with: {str(journal)!r} does not exist")
    try:
        sockets = private_folder()
        leftovers.remove_sockets(sockets)
        layout = launch.Layout(
            run_id=run_id, folder=folder, journal=journal, sockets=sockets, claim=leftovers.claim(folder),
            is_resumed=True,
        )  # fmt: skip
    except BlockingIOError:
        raise UserError(f"the run {run_id!r} lives: 'parley status' shows it") from None
    except OSError as error:
        raise UserError(f"cannot take up {str(folder)!r}: {error.strerror}") from error
    try:
        for part in (folder / "config", layout.logs):  # kept: a kill may need the configuration of before
            if part.exists():
                starts = 1 + sum(1 for _ in folder.glob(f"{part.name}-*"))
                part.rename(folder / f"{part.name}-{starts}")
            part.mkdir()
        launch.try_out(folder)
    except OSError as error:
        launch.sweep(layout)
        raise UserError(f"cannot take up {str(folder)!r}: {error.strerror}") from error
    except UserError:
        launch.sweep(layout)
        raise
    return layout
