"""Agents and desk meet at a Unix socket or over TCP, and neither talks to a stranger."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from parley.errors import ConfigError, UserError
from runtime.agent_socket import NONCE_SIZE, PROOF_SIZE, admit, dial, open_listener, parse_address, read_token
from tests.kit.units import short_folder

TOKEN = b"0123456789abcdef0123456789abcdef"


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as made:
        yield made


class Desk:
    """Accept one agent on a thread, as a desk does, and keep what came of it."""

    def __init__(self, listener: socket.socket, token: bytes = b"") -> None:
        self.error: ConnectionError | None = None
        self.connection: socket.socket | None = None
        self._listener = listener
        self._token = token
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        try:
            admit(connection, self._token, patience_s=0.3)
        except ConnectionError as error:
            self.error = error
            connection.close()
        else:
            self.connection = connection

    def result(self) -> Desk:
        self._thread.join(5)
        assert not self._thread.is_alive()
        self._listener.close()
        return self


def tcp(listener: socket.socket, file: Path | None = None) -> str:
    return f"tcp://127.0.0.1:{listener.getsockname()[1]}" + (f"?token={file}" if file else "")


def token_file(folder: Path, token: bytes = TOKEN, mode: int = 0o600) -> Path:
    file = folder / "token"
    file.write_bytes(token + b"\n")
    file.chmod(mode)
    return file


def exchange(agent: socket.socket, desk: socket.socket | None) -> bytes:
    assert desk is not None
    with agent, desk:
        agent.sendall(b"frame")
        return desk.recv(100)


def test_unix_socket_is_private_and_carries_bytes(folder: Path) -> None:
    path = folder / "agents.sock"
    desk = Desk(open_listener(str(path)))

    agent = dial(str(path))

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert agent.gettimeout() is None
    assert exchange(agent, desk.result().connection) == b"frame"


def test_socket_file_that_a_killed_desk_left_is_replaced(folder: Path) -> None:
    path = folder / "agents.sock"
    open_listener(str(path)).close()

    desk = Desk(open_listener(str(path)))

    assert exchange(dial(str(path)), desk.result().connection) == b"frame"


def test_tcp_peers_that_share_the_token_meet(folder: Path) -> None:
    listener = open_listener("tcp://127.0.0.1:0")
    address = tcp(listener, token_file(folder))
    desk = Desk(listener, TOKEN)

    agent = dial(address)

    assert exchange(agent, desk.result().connection) == b"frame"


def test_agent_with_another_token_is_refused() -> None:
    listener = open_listener("tcp://127.0.0.1:0")
    address = tcp(listener)
    desk = Desk(listener, TOKEN)

    with pytest.raises(ConnectionError):
        dial(address, b"another token, long enough", patience_s=1)

    assert desk.result().connection is None
    assert "does not know the token" in str(desk.error)


def test_desk_without_a_token_admits_nobody_over_tcp() -> None:
    listener = open_listener("tcp://127.0.0.1:0")
    address = tcp(listener)
    desk = Desk(listener)

    with pytest.raises(ConnectionError):
        dial(address, TOKEN, patience_s=1)

    assert desk.result().connection is None


def test_desk_that_does_not_know_the_token_is_left() -> None:
    listener = open_listener("tcp://127.0.0.1:0")
    address = tcp(listener)

    def impostor() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(bytes(NONCE_SIZE))
            said = connection.recv(NONCE_SIZE + PROOF_SIZE)
            connection.sendall(said[NONCE_SIZE:])  # the agent's own proof, sent back

    thread = threading.Thread(target=impostor)
    thread.start()
    with pytest.raises(ConnectionError, match="does not know the token"):
        dial(address, TOKEN)
    thread.join(5)
    listener.close()


def test_agent_that_says_nothing_is_given_up() -> None:
    listener = open_listener("tcp://127.0.0.1:0")
    desk = Desk(listener, TOKEN)

    with socket.create_connection(listener.getsockname()):
        assert desk.result().connection is None
    assert "timed out" in str(desk.error)


def test_proof_is_not_the_token() -> None:
    listener = open_listener("tcp://127.0.0.1:0")
    address, heard = tcp(listener), bytearray()

    def listen() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(bytes(NONCE_SIZE))
            heard.extend(connection.recv(1000))

    thread = threading.Thread(target=listen)
    thread.start()
    with pytest.raises(ConnectionError):
        dial(address, TOKEN)
    thread.join(5)
    listener.close()

    assert len(heard) == NONCE_SIZE + PROOF_SIZE
    assert TOKEN not in bytes(heard)


@pytest.mark.parametrize("address", ["/nowhere/agents.sock", "tcp://127.0.0.1:1?token={token}"])
def test_absent_desk_is_a_connection_error(folder: Path, address: str) -> None:
    with pytest.raises(ConnectionError):
        dial(address.format(token=token_file(folder)))


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("agents.sock", "a path or 'tcp://host:port"),
        ("http://127.0.0.1:80", "a path or 'tcp://host:port"),
        ("tcp://127.0.0.1", "a path or 'tcp://host:port"),
        ("tcp://127.0.0.1:x", "is wrong"),
        ("tcp://127.0.0.1:1?tokn=a", "'tokn'"),
        ("tcp://10.0.0.1:7000?token=a", "not encrypted"),
        ("tcp://0.0.0.0:7000", "not encrypted"),
    ],
)
def test_wrong_address_is_one_clear_line(address: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        parse_address(address)
    assert "\n" not in str(caught.value)


def test_encrypted_network_may_be_crossed() -> None:
    assert parse_address("tcp://10.0.0.1:7000?token=/a&network=encrypted").host == "10.0.0.1"


def test_path_beyond_what_a_socket_takes_is_refused() -> None:
    with pytest.raises(UserError, match="107"):
        dial("/" + "a" * 200)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: token_file(folder, mode=0o644), "0600"),
        (lambda folder: token_file(folder, token=b"short"), "16 bytes"),
        (lambda folder: folder / "none", "cannot read"),
    ],
)
def test_token_file_that_protects_nothing_is_refused(
    folder: Path, make: Callable[[Path], Path], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        read_token(str(make(folder)))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be two users")
def test_socket_of_another_user_is_left(folder: Path) -> None:
    path = folder / "agents.sock"
    folder.chmod(0o777)
    script = (
        "import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX); "
        f"s.bind({str(path)!r}); s.listen(); os.write(1, b'x'); os.read(0, 1)"
    )
    pid_in, our_out = os.pipe()
    our_in, pid_out = os.pipe()
    pid = os.posix_spawn(
        "/proc/self/exe", ["python", "-I", "-c", script], os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, pid_in, 0), (os.POSIX_SPAWN_DUP2, pid_out, 1)],
    )  # fmt: skip
    try:
        assert os.read(our_in, 1) == b"x"
        with pytest.raises(ConnectionError, match="the peer is 65534"):
            dial(str(path))
    finally:
        os.write(our_out, b"x")
        os.waitpid(pid, 0)
        for end in (pid_in, our_out, our_in, pid_out):
            os.close(end)
