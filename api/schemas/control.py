"""Kills, releases and limits on the wire."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.schemas.system import Kill
from api.wire import Wire

Text = Annotated[str, Field(max_length=500, pattern=r"^[^\x00\n\r]*$")]
Scope = Annotated[
    str, Field(max_length=160, pattern=r"^[^\x00\n\r]+$", examples=["firm", "bot:strategy/trend"])
]


class Asked(BaseModel):
    """Base of what is asked: nothing that is not known."""

    model_config = ConfigDict(extra="forbid")


class KillWish(Asked):
    """What to stop; as `parley kill`."""

    scopes: list[Scope] = Field(default=["firm"], min_length=1, max_length=100)
    mode: Literal["block", "cancel", "flatten"] = "cancel"
    reason: Text = ""


class ReleaseWish(Asked):
    """What to let trade again; as `parley release`. `confirm` is the token another operator was given."""

    scopes: list[Scope] = Field(default=["firm"], min_length=1, max_length=100)
    reason: Text = ""
    operator: Text = ""
    operator_key: Text = ""
    confirm: Text = ""


class LimitWish(Asked):
    """The value a limit is to have; as `parley limits set`."""

    value: Text
    reason: Text = ""
    operator: Text = ""
    operator_key: Text = ""
    confirm: Text = ""


class Obeyed(Wire):
    """What a gateway did; `error` says why it is not known to obey."""

    account: str
    pid: int | None
    answer_ms: float | None
    taken_over: bool
    error: str | None
    cancels_sent: int
    confirmed: int
    unconfirmed: list[str]


class Switched(Wire):
    """What stands after a kill or release; `asked` is the token another operator confirms a release with."""

    killed: list[Kill]
    accounts: list[Obeyed]
    asked: str = ""


class Changed(Wire):
    """Who changed a limit, when (ns since 1970) and why."""

    n: int
    key: str
    old: str
    new: str
    by: str
    confirmed_by: str
    why: str
    t: int


class Limit(Wire):
    """A limit of the running desk; `pending`: its desk has not confirmed the last change."""

    key: str
    value: str
    start: str
    pending: bool
    changed: Changed | None


class LimitTable(Wire):
    """The limits of the running desk; `version` counts changes and is the ETag."""

    version: int
    two_keys: bool = Field(description="Whether loosening takes two operators.")
    limits: list[Limit]


class LimitAnswer(Wire):
    """What became of a change: `asked` is the token another operator confirms it with, else it was taken."""

    key: str
    old: str
    new: str
    asked: str = ""
    confirmed: bool = Field(default=False, description="The desk has it durably.")
    refused: bool = False
