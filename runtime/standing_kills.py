"""What whoever wonders why nothing trades is told of a kill: what, who, why, since when, and the way out.

Problem: a kill outlives the run it was meant for and everybody who remembers it. Whatever shows a desk,
starts one or tells of its health therefore says it, in the same words.

Not here: the file (`kill_file`), killing and releasing (`killing`), what a gateway does (`kill_switch`).

Invariant: only looks: no file and no folder is made. A damaged file is told as a kill of everything.
"""

import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from runtime.kill_file import NAME, PLATFORM, Kill, KillFile, Standing, read

_TENANT: Final = "local"
_EFFECT: Final = {
    "block": "nothing is sent, what rests stays",
    "cancel": "nothing is sent, what rested is cancelled",
    "flatten": "only exits are sent",
}


class Stop(msgspec.Struct, frozen=True):
    """One kill as it is told; ``by`` is empty and ``since`` (RFC 3339) None where nobody knows.

    ``release`` is the command line that ends it.
    """

    scope: str
    mode: str
    reason: str
    by: str
    since: str | None
    release: str

    def line(self) -> str:
        """Say it in one line."""
        # the reason is what somebody typed: its own line breaks and control characters are shown, not obeyed
        why = repr(self.reason) if self.reason else "none given"
        who = f", by {self.by}" if self.by else ""
        since = f", since {self.since[:19].replace('T', ' ')} UTC" if self.since else ""
        effect = _EFFECT.get(self.mode, "nothing is sent")
        return (
            f"killed: {self.scope}, {self.mode} ({effect}){who}{since}, reason: {why};"
            f" to trade again: {self.release}"
        )


def stops(home: Path, tenant: str = _TENANT) -> tuple[Stop, ...]:
    """Tell what stands in a home against a tenant and its firms."""
    return told(read(_file(home)), tenant) if home.expanduser().is_dir() else ()


def told(standing: Standing, tenant: str | None = _TENANT) -> tuple[Stop, ...]:
    """Tell what stands; what concerns another tenant alone is left out, with None nothing is."""
    found = [_stop(each) for each in standing.kills if tenant is None or _concerns(each, tenant)]
    if standing.damage:
        damaged = Kill(PLATFORM, "block", f"the kill file is damaged: {standing.damage}", "", 0)
        found.insert(0, _stop(damaged))
    return tuple(found)


class KillWatch:
    """A home's kills as a process sees them that looks again and again; a look costs one `stat`."""

    def __init__(self, home: Path, tenant: str = _TENANT) -> None:
        self._home = home.expanduser()
        self._has_home = False
        self._file = KillFile(_file(home))
        self._tenant = tenant
        self._standing = Standing()
        self.stops: tuple[Stop, ...] = ()
        self.look()

    def look(self) -> bool:
        """Look again; whether anything else stands than before."""
        before = self.stops
        self._has_home = self._has_home or self._home.is_dir()
        standing = self._file.standing() if self._has_home else self._standing
        if standing is not self._standing:
            self._standing, self.stops = standing, told(standing, self._tenant)
        return self.stops != before


def lines(found: tuple[Stop, ...], before: tuple[Stop, ...]) -> list[str]:
    """Say what changed between two looks: new kills in full, and what is over."""
    said = [each.line() for each in found if each not in before]
    scopes = {each.scope for each in found}
    said += [f"released: {each.scope}" for each in before if each.scope not in scopes]
    return said


def _concerns(kill: Kill, tenant: str) -> bool:
    return not kill.scope.startswith("tenant:") or kill.scope == f"tenant:{tenant}"


def _stop(kill: Kill) -> Stop:
    return Stop(
        scope=kill.scope, mode=kill.mode, reason=kill.reason, by=kill.by,
        since=_moment(kill.t),
        release=f"parley release --scope {shlex.quote(kill.scope)} --reason TEXT",
    )  # fmt: skip


def _moment(t_ns: int) -> str | None:
    try:
        moment = datetime.fromtimestamp(t_ns // 1_000_000 / 1000, UTC)
    except (ValueError, OverflowError, OSError):  # no calendar has it: the kill stands all the same
        return None
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z" if t_ns > 0 else None


def _file(home: Path) -> Path:
    return home.expanduser().resolve() / NAME
