"""How an agent's process and its desk find each other and make sure of each other, before any frame.

Problem: an agent may run on the desk's machine, where the kernel says who is at the other end of a Unix
socket, or on another one, where anybody may connect to a TCP port. An address is a path or
``tcp://host:port?token=FILE``; over TCP each end proves that it knows the token without sending it.

Not here: frames and what they mean (`agent_server`, `socket_transport`); encryption. TLS is not built: a
TCP address that is not loopback is refused unless it says that the network itself encrypts.

Invariant: a socket that `dial` or `admit` returns has the user of this process, or somebody who holds the
token, at its other end.
"""

import hashlib
import hmac
import ipaddress
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from parley.errors import ConfigError
from runtime.frames import check_socket_path, peer_of
from runtime.unit import read_private

PATIENCE_S: Final = 2.0
NONCE_SIZE: Final = 32
PROOF_SIZE: Final = hashlib.sha256().digest_size
MIN_TOKEN: Final = 16
_DESK: Final = b"parley desk"
_AGENT: Final = b"parley agent"
_OPTIONS: Final = ("token", "network")


@dataclass(frozen=True)
class Address:
    """Where a desk waits for its agents: a Unix socket's path, or a host and port with a token's file."""

    path: str = ""
    host: str = ""
    port: int = 0
    token_file: str = ""

    @property
    def is_tcp(self) -> bool:
        return not self.path


def parse_address(address: str) -> Address:
    """Read an address: an absolute path, or ``tcp://host:port?token=FILE[&network=encrypted]``.

    Raises
    ------
    ConfigError
        When it is neither, or names a host beyond this machine without saying ``network=encrypted``.
    """
    if address.startswith("/"):
        check_socket_path(Path(address))
        return Address(path=address)
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise ConfigError(f"the agents' address {address!r} is wrong: {error}") from None
    if parts.scheme != "tcp" or not host or port is None or parts.path not in ("", "/"):
        raise ConfigError(f"the agents' address is a path or 'tcp://host:port?token=FILE', was {address!r}")
    if unknown := sorted(set(options) - set(_OPTIONS)):
        raise ConfigError(f"the agents' address has the options {_OPTIONS}, was {unknown[0]!r}")
    if not _is_loopback(host) and options.get("network") != "encrypted":
        raise ConfigError(
            f"frames over TCP are not encrypted: {host!r} needs 'network=encrypted' in the agents' address, "
            "which says that the network between the machines encrypts by itself"
        )
    return Address(host=host, port=port, token_file=options.get("token", ""))


def read_token(file: str) -> bytes:
    """Read the secret that both ends of a TCP connection know.

    Raises
    ------
    ConfigError
        When there is no file, others may read it, or it holds fewer than 16 bytes.
    """
    if not file:
        raise ConfigError("a TCP address needs 'token=FILE', a file of mode 0600 that both machines hold")
    token = read_private(Path(file)).strip()
    if len(token) < MIN_TOKEN:
        raise ConfigError(f"the token in {file!r} must have at least {MIN_TOKEN} bytes, has {len(token)}")
    return token


def dial(address: str, token: bytes = b"", patience_s: float = PATIENCE_S) -> socket.socket:
    """Connect to a desk and make sure of it; the socket blocks, without a time limit.

    Parameters
    ----------
    token : taken from the file that a TCP address names, where not given

    Raises
    ------
    ConnectionError
        When nobody is there, does not answer in time or does not know the token.
    ConfigError
        When the address or its token's file is wrong.
    """
    target = parse_address(address)
    if target.is_tcp and not token:
        token = read_token(target.token_file)
    family = (
        socket.AF_UNIX if not target.is_tcp else socket.AF_INET6 if ":" in target.host else socket.AF_INET
    )
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(patience_s)
        if target.is_tcp:
            connection.connect((target.host, target.port))
            _hurry(connection)
            _prove_agent(connection, token)
        else:
            connection.connect(target.path)
            _check_user(connection)
        connection.settimeout(None)
    except ConnectionError:
        connection.close()
        raise
    except OSError as error:
        connection.close()
        raise ConnectionError(f"cannot reach the desk at {address!r}: {error}") from error
    return connection


def open_listener(address: str) -> socket.socket:
    """Listen for agents; a Unix socket gets mode 0600, a TCP address with port 0 a free port.

    Raises
    ------
    ConfigError
        When the address is wrong or cannot be used.
    """
    target = parse_address(address)
    family = (
        socket.AF_UNIX if not target.is_tcp else socket.AF_INET6 if ":" in target.host else socket.AF_INET
    )
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if target.is_tcp:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((target.host, target.port))
        else:
            Path(target.path).unlink(missing_ok=True)
            listener.bind(target.path)
            # Nobody can connect between bind and listen, so the mode is in force before the first peer.
            Path(target.path).chmod(0o600)
        listener.listen(socket.SOMAXCONN)
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot listen for agents at {address!r}: {error}") from error
    return listener


def admit(connection: socket.socket, token: bytes = b"", patience_s: float = PATIENCE_S) -> None:
    """Make sure of an agent that connected, as the desk; blocks for `patience_s` per step at most.

    Raises
    ------
    ConnectionError
        When it is another user, does not know the token or does not answer in time.
    """
    try:
        if connection.family == socket.AF_UNIX:
            _check_user(connection)
            return
        _hurry(connection)
        before = connection.gettimeout()
        connection.settimeout(patience_s)
        ours = secrets.token_bytes(NONCE_SIZE)
        connection.sendall(ours)
        said = _read(connection, NONCE_SIZE + PROOF_SIZE)
        connection.sendall(answer(token, ours, said))
        connection.settimeout(before)
    except ConnectionError:
        raise
    except OSError as error:
        raise ConnectionError(f"an agent's connection failed before it said who it is: {error}") from error


def answer(token: bytes, nonce: bytes, said: bytes) -> bytes:
    """Check what an agent said to a desk's nonce and return the desk's own proof; for desks with a loop.

    Raises
    ------
    ConnectionError
        When the agent does not know the token.
    """
    theirs, proof = said[:NONCE_SIZE], said[NONCE_SIZE:]
    if len(token) < MIN_TOKEN or not hmac.compare_digest(proof, _proof(token, _AGENT, nonce, theirs)):
        raise ConnectionRefusedError("an agent's connection was refused: it does not know the token")
    return _proof(token, _DESK, nonce, theirs)


def _prove_agent(connection: socket.socket, token: bytes) -> None:
    theirs = _read(connection, NONCE_SIZE)
    ours = secrets.token_bytes(NONCE_SIZE)
    connection.sendall(ours + _proof(token, _AGENT, theirs, ours))
    if not hmac.compare_digest(_read(connection, PROOF_SIZE), _proof(token, _DESK, theirs, ours)):
        raise ConnectionRefusedError("what answered at the desk's address does not know the token")


def _proof(token: bytes, who: bytes, desk_nonce: bytes, agent_nonce: bytes) -> bytes:
    # The name keeps one end's proof from being sent back as the other's.
    return hmac.digest(token, who + desk_nonce + agent_nonce, "sha256")


def _read(connection: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        part = connection.recv(size - len(got))
        if not part:
            raise ConnectionResetError(f"the peer closed after {len(got)} of {size} bytes of its proof")
        got += part
    return got


def _check_user(connection: socket.socket) -> None:
    _, user = peer_of(connection)
    if user != os.getuid():
        raise ConnectionRefusedError(f"the agents' socket is for user {os.getuid()}, the peer is {user}")


def _hurry(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
