"""What client and server say on the stream `parley.v1`, as docs/openapi.json shows it under `webhooks`."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.schemas.orders import Fill, Order
from api.schemas.rounds import Round
from api.wire import Time

CHANNELS = ("rounds", "orders", "fills")


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Since(_Asked):
    """A place in a channel: of X-Stream-Position, or of the last event that came."""

    epoch: str = Field(max_length=200)
    off: int = Field(ge=0, lt=2**63)


class Subscribe(_Asked):
    """Ask for a channel's events, after a place or from now on."""

    t: Literal["sub"]
    id: int
    ch: str = Field(max_length=200)
    since: Since | None = None


class Unsubscribe(_Asked):
    """Ask for no more events of a channel."""

    t: Literal["unsub"]
    id: int
    ch: str = Field(max_length=200)


class Ping(_Asked):
    """Ask for a `pong`, to see how long it takes."""

    t: Literal["ping"]


ClientMessage = Annotated[Subscribe | Unsubscribe | Ping, Field(discriminator="t")]


class Hello(BaseModel):
    """The first word of the server."""

    t: Literal["hello"] = "hello"
    conn: str
    server_time: Time
    heartbeat_ms: int
    max_subs: int
    tenant: str


class Subscribed(BaseModel):
    """A subscription stands. With ``recovered`` false something is missing: read the list anew by REST.

    Sent again, with ``recovered`` false, when a new run begins: its ``epoch`` is another.
    """

    t: Literal["subbed"] = "subbed"
    id: int
    ch: str
    epoch: str
    off: int
    recovered: bool


class Unsubscribed(BaseModel):
    """A subscription has ended."""

    t: Literal["unsubbed"] = "unsubbed"
    id: int
    ch: str


class Pong(BaseModel):
    """The answer to a ping."""

    t: Literal["pong"] = "pong"
    server_time: Time


class Event(BaseModel):
    """One event. ``off`` is its record's place in the journal; ``data`` the thing as it is now."""

    t: Literal["ev"] = "ev"
    ch: str
    off: int
    ts: Time
    type: str = Field(examples=["order.filled"])
    data: Round | Order | Fill


class Events(BaseModel):
    """Several events, when more than one was waiting; those of one offset are never parted."""

    t: Literal["evs"] = "evs"
    items: list[Event]


ServerMessage = Annotated[Hello | Subscribed | Unsubscribed | Pong | Event | Events, Field(discriminator="t")]


def encode(message: BaseModel) -> bytes:
    """Return a message as it is sent."""
    return message.model_dump_json().encode()


def register(app: Any) -> None:
    """Put both sides' messages into the OpenAPI document of an application."""

    @app.webhooks.post("stream-client", summary="What a client says", tags=["stream"])
    def stream_client(body: ClientMessage) -> None: ...

    @app.webhooks.post("stream-server", summary="What the server says", tags=["stream"])
    def stream_server(body: ServerMessage) -> None: ...
