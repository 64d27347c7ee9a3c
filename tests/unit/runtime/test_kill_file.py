"""The kill file: what stands after which lines, and that every doubt about it stops everything."""

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.errors import UserError
from runtime import kill_file, killing
from runtime.kill_file import Kill, KillFile, Standing, fold, hits, read, scope_of, write
from runtime.operators import operators_of


def kill(path: Path, *scopes: str, mode: str = "cancel") -> Standing:
    return write(path, "kill", scopes, mode=mode, reason="why", by="ann")


def release(path: Path, *scopes: str) -> Standing:
    return write(path, "release", scopes, reason="looked", by="ann")


def scopes(standing: Standing) -> list[str]:
    return [each.scope for each in standing.kills]


def test_kills_stand_until_they_are_released_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "kill.jsonl"

    assert read(path) == Standing()
    assert scopes(kill(path, "firm", "symbol:BTC/USDT")) == ["firm", "symbol:BTC/USDT"]
    assert scopes(release(path, "firm")) == ["symbol:BTC/USDT"]
    assert scopes(release(path, "firm")) == ["symbol:BTC/USDT"]
    assert scopes(read(path)) == ["symbol:BTC/USDT"]
    assert read(path).seen == 4
    assert path.stat().st_mode & 0o777 == 0o600


def test_later_kill_of_a_scope_replaces_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "kill.jsonl"
    kill(path, "firm", mode="block")

    assert [each.mode for each in kill(path, "firm", mode="flatten").kills] == ["flatten"]


def test_who_is_concerned(tmp_path: Path) -> None:
    path = tmp_path / "kill.jsonl"
    stand = kill(path, "tenant:other", "firm:second", "symbol:BTC/USDT")

    assert [each.scope for each in stand.over("local", "main")] == ["symbol:BTC/USDT"]
    assert [each.scope for each in stand.over("other", "second")] == [
        "firm:second", "symbol:BTC/USDT", "tenant:other",
    ]  # fmt: skip
    assert [hits(each, "ETH/USDT") for each in stand.over("other", "second")] == [True, False, True]
    assert all(hits(Kill(scope, "block", "", "", 0), "X/Y") for scope in ("platform", "firm", "tenant:a"))


def test_a_kill_of_a_pair_stops_it_at_every_exchange() -> None:
    pair = Kill("symbol:BTC/USDT", "cancel", "", "", 0)
    found = [hits(pair, each) for each in ("BTC/USDT", "BTC/USDT@bybit", "BTC/USDT:USDT", "ETH/USDT@bybit")]
    assert found == [True, True, False, False]
    with pytest.raises(UserError, match="at every exchange: expected symbol:BTC/USDT, was 'symbol"):
        scope_of("symbol:BTC/USDT@bybit")


@pytest.mark.parametrize("raw", [b"", b"\n", b"{}\n", b"nonsense\n", b"\xff\xfe\n"])
def test_what_is_no_line_stops_everything(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "kill.jsonl"
    path.write_bytes(raw)

    (stop,) = read(path).over("anybody", "anything")
    assert (stop.scope, stop.mode) == ("platform", "block")


@given(at=st.integers(0, 10_000), value=st.integers(0, 255), cut=st.booleans())
@settings(max_examples=200, deadline=None)
def test_changed_or_torn_file_never_loosens(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: int, cut: bool
) -> None:
    path = tmp_path_factory.mktemp("kills") / "kill.jsonl"
    kill(path, "firm")
    release(path, "firm")
    kill(path, "symbol:BTC/USDT")
    raw = path.read_bytes()
    at %= len(raw)
    broken = raw[:at] if cut else raw[:at] + bytes([value]) + raw[at + 1 :]
    lines = raw.splitlines(keepends=True)
    whole = [b"".join(lines[:n]) for n in range(1, 4)]
    if broken in whole:
        return

    assert fold(broken).damage


def test_damage_ends_only_by_releasing_everything(tmp_path: Path) -> None:
    path = tmp_path / "kill.jsonl"
    kill(path, "firm")
    path.write_bytes(path.read_bytes()[:-9])

    assert release(path, "firm").damage == "line 1 is torn or was changed"
    assert kill(path, "symbol:BTC/USDT").damage
    released = (("firm", 2, "ann", "looked"), ("platform", 4, "ann", "looked"))
    assert release(path, "platform") == Standing(seen=4, released=released)
    assert scopes(kill(path, "firm")) == ["firm"]


def test_running_process_sees_changes_and_takes_removal_for_damage(tmp_path: Path) -> None:
    path = tmp_path / "kill.jsonl"
    file = KillFile(path)

    assert file.standing() == Standing()
    kill(path, "firm")
    assert scopes(file.standing()) == ["firm"]
    release(path, "firm")
    assert file.standing().over("local", "main") == ()
    path.unlink()
    assert file.standing().damage == "it is gone"
    assert file.standing().damage == "it is gone"
    release(path, "platform")
    assert file.standing().over("local", "main") == ()


def test_unreadable_file_stops_everything(tmp_path: Path) -> None:
    folder = tmp_path / "is-a-folder"
    folder.mkdir()
    assert read(folder).damage.startswith("it cannot be read")
    assert KillFile(folder).standing().damage.startswith("it cannot be read")
    # a path that goes through a file cannot even be looked at
    (tmp_path / "file").touch()
    assert KillFile(tmp_path / "file" / "kill.jsonl").standing().damage.startswith("it cannot be read")


@pytest.mark.parametrize("text", ["", "frim", "tenant", "tenant:", "symbol:", "platform:x", "firm:", "bot:"])
def test_scope_that_is_none_is_named(text: str) -> None:
    with pytest.raises(UserError, match="scope"):
        scope_of(text)


def test_write_refuses_what_nobody_understands(tmp_path: Path) -> None:
    path = tmp_path / "kill.jsonl"
    with pytest.raises(UserError, match="mode is block, cancel, flatten, was 'stop'"):
        write(path, "kill", ["firm"], mode="stop")
    with pytest.raises(UserError, match="scope"):
        kill(path, "firm", "everything")
    assert not os.path.exists(path)


def test_kill_voids_what_was_asked_about_everything(tmp_path: Path) -> None:
    ann, bob = (operators_of(tmp_path).enrol(name) for name in ("ann", "bob"))
    path = killing.file_of(tmp_path)
    kill(path, "tenant:local")
    token = killing.release(tmp_path, ("platform",), "looked", "ann", ann)["asked"]
    kill(path, "firm")  # after she looked
    with pytest.raises(UserError, match="nothing waits"):
        killing.release(tmp_path, ("platform",), "", "bob", bob, token)
    assert scopes(read(path)) == ["firm", "tenant:local"]


def test_kill_while_a_release_is_confirmed_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ann, bob = (operators_of(tmp_path).enrol(name) for name in ("ann", "bob"))
    path = killing.file_of(tmp_path)
    kill(path, "firm")
    token = killing.release(tmp_path, ("firm",), "looked", "ann", ann)["asked"]
    judge, killer = killing._confirmed, threading.Thread(target=kill, args=(path, "firm"))

    def while_somebody_kills(*asked: object) -> kill_file.Asked:
        found = judge(*asked)  # type: ignore[arg-type]
        killer.start()
        killer.join(0.2)  # it waits where nobody may write now
        return found

    monkeypatch.setattr(killing, "_confirmed", while_somebody_kills)
    killing.release(tmp_path, ("firm",), "", "bob", bob, token)
    killer.join()
    assert scopes(read(path)) == ["firm"]
