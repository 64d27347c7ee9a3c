"""A firm kept at any place of its journal goes on from there as if all had been folded; or it is not used."""

import io
import itertools
import os
import pickle
import random
import re
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from orchestrator.account import Account
from orchestrator.orders import OrderState
from parley.messages import decode_envelope
from runtime import kept_firm, recovery
from runtime.journal import GroupRow, JournalReader
from runtime.kept_firm import KeptFirm
from runtime.recovered import Recovered
from runtime.recovery import Following, fresh, recover
from runtime.refold import EXTERNAL, lateness
from runtime.run_config import RunConfig
from tests.kit.default_desk import write_run

BARS = 40


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunConfig]:
    path = tmp_path_factory.mktemp("run") / "desk.journal"
    return path, write_run(path, BARS)


@pytest.fixture
def path(journal: tuple[Path, RunConfig], tmp_path: Path) -> Path:
    """The journal in a folder of its own, without anything kept."""
    link = tmp_path / "desk.journal"
    link.hardlink_to(journal[0])
    return link


@pytest.fixture
def run(journal: tuple[Path, RunConfig]) -> RunConfig:
    return journal[1]


def boundaries(path: Path) -> list[GroupRow]:
    """The groups with which a cascade ends."""
    with JournalReader(path) as reader:
        groups = list(reader.groups())
        starts = {
            record.seq for record in reader.records() if decode_envelope(record.body).sender in EXTERNAL
        }
    return [each for each, after in itertools.pairwise(groups) if after.first_seq in starts]


def keep(path: Path, run: RunConfig, at: GroupRow) -> KeptFirm:
    """Fold up to a group, and keep what is there."""
    kept = KeptFirm(path, run)
    kept.pin()
    with JournalReader(path) as reader:
        following = Following(fresh(reader, run), path, lateness(reader))
        for record in reader.records():
            if record.seq <= at.last_seq:
                following.take(record, decode_envelope(record.body))
    kept.keep(following.past, at)
    kept.publish()
    return kept


def same(one: Recovered, other: Recovered) -> bool:
    """Whether two folds know the same, to the bytes of each agent."""
    return (
        one.firm.account.view()[0].state == other.firm.account.view()[0].state
        and one.firm.account.view()[0].standings == other.firm.account.view()[0].standings
        and one.firm.table.seq == other.firm.table.seq
        and {a: host.agent.snapshot() for a, host in one.hosts.items()}
        == {a: host.agent.snapshot() for a, host in other.hosts.items()}
        and {a: host.view.state for a, host in one.hosts.items()}
        == {a: host.view.state for a, host in other.hosts.items()}
        and (one.have, one.fills, one.paid, one.placed, one.gaps, one.is_open, one.started, one.last)
        == (
            other.have,
            other.fills,
            other.paid,
            other.placed,
            other.gaps,
            other.is_open,
            other.started,
            other.last,
        )
    )


def test_from_any_place_it_folds_on_to_the_same_firm(path: Path, run: RunConfig) -> None:
    whole = recover(path, run)
    assert whole.gid == 0
    assert len(whole.fills) > BARS / 2
    places = boundaries(path)
    for at in (places[0], *random.Random(4).sample(places, 12), places[-1]):
        keep(path, run, at)
        past = recover(path, run)

        assert past.gid == at.gid, "what was kept is what was folded on"
        assert same(past, whole)


def test_what_is_kept_is_of_this_run_this_code_and_this_journal(
    path: Path, run: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep(path, run, boundaries(path)[20])
    with JournalReader(path) as reader:
        assert kept.find(reader) is not None
        assert KeptFirm(path, replace(run, run_id="another")).find(reader) is None
        monkeypatch.setattr(kept_firm, "code_of", lambda agents: b"another")  # edited meanwhile
        assert KeptFirm(path, run).find(reader) is None
        monkeypatch.undo()
    other = tmp_path / "other" / "desk.journal"
    other.parent.mkdir()
    write_run(other, BARS, seed=2)
    kept.path.rename(other.with_name(kept.path.name))
    with JournalReader(other) as reader:
        assert KeptFirm(other, run).find(reader) is None


def test_a_shorter_journal_knows_nothing_of_it(path: Path, run: RunConfig, tmp_path: Path) -> None:
    kept = keep(path, run, boundaries(path)[-1])
    short = tmp_path / "short" / "desk.journal"
    short.parent.mkdir()
    write_run(short, BARS - 5)
    kept.path.rename(short.with_name(kept.path.name))

    assert recover(short, run).gid == 0


def test_no_flipped_byte_gets_through(path: Path, run: RunConfig) -> None:
    kept = keep(path, run, boundaries(path)[5])
    whole, dice = kept.path.read_bytes(), random.Random(7)
    with JournalReader(path) as reader:
        for at in (0, 15, 16, len(whole) - 1, *dice.sample(range(len(whole)), 60)):
            kept.path.write_bytes(
                whole[:at] + bytes([whole[at] ^ (1 << dice.randrange(8))]) + whole[at + 1 :]
            )
            assert kept.find(reader) is None
        for size in (0, 10, 16, len(whole) // 2):
            kept.path.write_bytes(whole[:size])
            assert kept.find(reader) is None


def test_one_that_is_wrong_is_noticed_and_all_is_folded(
    path: Path, run: RunConfig, caplog: pytest.LogCaptureFixture
) -> None:
    """A firm of an earlier place under a later one's name: whole, signed and false."""
    places = boundaries(path)
    early, late = places[10], places[30]
    keep(path, run, early)
    kept = KeptFirm(path, run)
    fields = msgspec.msgpack.decode(kept.path.read_bytes()[16:])
    fields[2:5] = [late.last_seq, late.gid, late.hash]
    raw = msgspec.msgpack.encode(fields)
    kept.path.write_bytes(blake2b(raw, digest_size=16).digest() + raw)

    past = recover(path, run)

    assert past.gid == 0
    assert same(past, recover(path, run))
    assert "kept_firm_is_wrong" in caplog.text
    assert not kept.path.exists()


class Harmful:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("true",)


def test_only_a_firms_own_objects_are_made(path: Path, run: RunConfig) -> None:
    kept = keep(path, run, boundaries(path)[5])
    fields = msgspec.msgpack.decode(kept.path.read_bytes()[16:])
    fields[-1] = pickle.dumps((Harmful(), {}))
    raw = msgspec.msgpack.encode(fields)
    kept.path.write_bytes(blake2b(raw, digest_size=16).digest() + raw)

    with pytest.raises(pickle.UnpicklingError, match=r"posix\.system"):
        kept_firm._unpickled(fields[-1])
    for module, name in (("parley.agent", "np.lib._npyio_impl.os.getpid"), ("orchestrator.firm", "blake2b")):
        with pytest.raises(pickle.UnpicklingError, match=re.escape(f"{module}.{name}")):
            kept_firm._Reader(io.BytesIO(b"")).find_class(module, name)
    attribute = kept_firm._Reader(io.BytesIO(b"")).find_class("builtins", "getattr")
    for owner, name in (
        (os, "system"),
        (Decimal, "from_float"),
        (Account, "__globals__"),
        (OrderState, "mro"),
    ):
        with pytest.raises(pickle.UnpicklingError, match=name):
            attribute(owner, name)
    with JournalReader(path) as reader:
        assert kept.find(reader) is None
    assert recovery.recover(path, run).gid == 0


def test_a_full_disk_leaves_the_one_before(
    path: Path, run: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = boundaries(path)
    kept = keep(path, run, places[5])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        keep(path, run, places[9])
    monkeypatch.undo()
    with JournalReader(path) as reader:
        found = kept.find(reader)
    assert found is not None
    assert found.gid == places[5].gid
