"""Where in a journal the read model stands, and whether this file continues from there.

Problem: a cursor of the database and a file on disk can stop fitting together: the file was replaced, cut
off, restored from a copy, or rotated. Only the chain can tell. A place is (first seq of the file, gid,
hash); the file has to hold a group with that hash, or be the next file and name that hash as the one it
follows.

Not here: reading and checking groups (`runtime.journal.tail`), moving the cursor (`write`).

Invariant: a `Place` handed out by `resume` was verified against the file.
"""

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from parley.errors import UserError
from runtime.journal.tail import JournalTail
from runtime.postgres import tenant_id


class Refused(UserError):
    """A journal does not continue what was shipped of it; it is not shipped."""


@dataclass(frozen=True)
class Stream:
    """Whose journal it is; `run_id` and `name` (desk or gateway) are its key among the tenant's."""

    tenant: UUID
    tenant_name: str
    run_id: str
    name: str
    desk: str
    account: str
    config: str


@dataclass(frozen=True)
class Place:
    """How far a stream is shipped; ``t_market``: time of the newest decision, ``bytes``: of all bodies."""

    file_first_seq: int
    gid: int
    seq: int
    head: bytes
    t_commit: int
    t_market: int = 0
    bytes: int = 0


def stream_of(tail: JournalTail) -> Stream:
    """Name the stream a journal holds.

    Raises
    ------
    Refused
        When it does not say whose it is.
    """
    run = tail.run
    if not run.get("tenant") or run.get("unit") not in ("desk", "gateway"):
        raise Refused(
            f"{str(tail.path)!r} must be a desk's or a gateway's journal, its unit is {run.get('unit')!r}"
        )
    # A gateway does not say which run it serves; its folder does.
    run_id = run.get("run_id") or Path(tail.path).resolve().parent.name
    return Stream(
        tenant=tenant_id(run["tenant"]), tenant_name=run["tenant"], run_id=run_id, name=run["unit"],
        desk=run.get("desk", ""), account=run.get("account", ""), config=run.get("config", ""),
    )  # fmt: skip


def start(tail: JournalTail) -> Place:
    """Return the place before the first record of a file; its genesis counts as shipped."""
    genesis = tail.genesis
    return Place(genesis.first_seq, 0, genesis.last_seq, genesis.hash, genesis.t_commit)


def resume(tail: JournalTail, shipped: Place | None) -> Place:
    """Return where in this file to go on.

    Raises
    ------
    Refused
        When the file does not continue what was shipped.
    """
    first = start(tail)
    if shipped is None:
        if tail.follows is not None:
            raise Refused(f"{str(tail.path)!r} continues an earlier file of its run, which was never shipped")
        return first
    if shipped.file_first_seq != first.file_first_seq:
        if tail.follows == shipped.head and first.seq == shipped.seq:
            return Place(
                first.file_first_seq,
                0,
                first.seq,
                first.head,
                first.t_commit,
                shipped.t_market,
                shipped.bytes,
            )
        raise Refused(
            f"{str(tail.path)!r} starts at record {first.file_first_seq} behind the hash"
            f" {tail.genesis.prev_hash.hex()[:16]}, shipped was up to record {shipped.seq} with hash"
            f" {shipped.head.hex()[:16]}"
        )
    group = tail.group(shipped.gid)
    if group is None:
        raise Refused(
            f"{str(tail.path)!r} must hold group {shipped.gid}, up to which it was shipped; it ends before:"
            f" the file lost its end, or is an older copy"
        )
    if group.hash != shipped.head:
        raise Refused(
            f"{str(tail.path)!r} group {shipped.gid} must have the hash {shipped.head.hex()[:16]}.. that was"
            f" shipped, it has {group.hash.hex()[:16]}..: another file took its place"
        )
    return shipped


def is_older_file(tail: JournalTail, shipped: Place | None) -> bool:
    """Tell whether a later file of the same run was shipped already, so that this one has nothing new."""
    return shipped is not None and tail.genesis.first_seq < shipped.file_first_seq
