"""A gateway's end of changing limits: takes the command, writes it down, tells the desk, hears its word.

Problem: a desk's limits are part of its journal, and whoever runs commands in the home reaches its gateway
alone, whatever the desk is busy with. So a change is asked for here, on the socket of the kill switch: it is
judged, numbered and durable in this journal, counts here at once where it tightens, and goes to the desk like
a fact of the venue. The desk writes it down and judges by it; what it has durably it confirms, and only then
does the gateway loosen.

Not here: which of two values is tighter (`parley.risk.changes`), what the last look makes of it (`followed`).

Invariant: every change says who, when, why, what it was and what it is, in both journals, before it loosens
anything. Where operators are enrolled, loosening takes two of them.
"""

import pwd
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from parley.errors import ConfigError, ProtocolError, UserError
from parley.messages import ApprovalAsked, LimitChange, LimitsSet, Message
from parley.risk.changes import keys_of, loosens, value_of
from parley.risk.limits import limits_of
from runtime.approvals import Approvals
from runtime.followed import Followed
from runtime.frames import Link, control
from runtime.gateway_config import GatewayConfig
from runtime.limit_word import SET, SHOW, TOLD, Confirmed, Wish
from runtime.operators import Operators
from runtime.unit import path_of

_LONGEST_REASON: Final = 500
SayDurably = Callable[[Message, Callable[[], None]], None]


class LimitSwitch:
    """Changes limits; ``note`` writes to the journal, ``say_durably`` too and then tells the desk."""

    def __init__(
        self, config: GatewayConfig, note: Callable[[Message], object], say_durably: SayDurably
    ) -> None:
        self._start = limits_of(config.desk_limits)
        self.followed = Followed(self._start, config.limits)
        self._operators = Operators(path_of(config.operators)) if config.operators else None
        self._approvals = Approvals()
        self._note = note
        self._say_durably = say_durably
        self._waiting: list[tuple[int, Link]] = []

    def adopt(self, said: Iterable[LimitChange | LimitsSet]) -> None:
        """Go on from what an earlier life wrote down."""
        for each in said:
            if isinstance(each, LimitChange):
                self.followed.ask(each)
            else:
                self.followed.confirm(each.n, {each.key: each.value}, refused=bool(each.refused))

    def confirmed(self, word: Confirmed) -> None:
        """Take the desk's word."""
        known = {each.n for each in self.followed.pending if each.n <= word.n}
        self.followed.confirm(word.n, word.values, refused=word.refused)
        if known:
            for key, value in sorted(word.values.items()):
                self._note(
                    LimitsSet(
                        n=word.n, version=0, key=key, before="", value=value,
                        refused="refused by the desk" if word.refused else "",
                    )
                )  # fmt: skip
        waiting, self._waiting = self._waiting, []
        for n, link in waiting:
            if n <= word.n:
                self._tell(link, {"n": n, "refused": word.refused and n == word.n, "confirmed": True})
            else:
                self._waiting.append((n, link))

    def asked(self, link: Link, word: str) -> bool:
        """Answer a command on the kill socket; False when it is not about limits."""
        if word == SHOW:
            self._tell(link, self._table())
            return True
        if not word.startswith(SET):
            return False
        try:
            wish = msgspec.json.decode(word.removeprefix(SET).encode(), type=Wish)
            self._set(link, wish)
        except (UserError, ConfigError) as error:
            self._tell(link, {"error": str(error)})
        except msgspec.MsgspecError as error:
            raise ProtocolError(f"{SET} must hold a wish: {error}") from error
        return True

    def _set(self, link: Link, wish: Wish) -> None:
        if not wish.reason.strip() and not wish.token:
            raise UserError("a change of a limit must say why: --reason TEXT")
        if len(wish.reason) > _LONGEST_REASON:  # both journals keep it, and a frame must hold it
            raise UserError(f"a reason has at most {_LONGEST_REASON} characters, was {len(wish.reason)}")
        book = self.followed.book
        if wish.n not in (-1, book.n):
            raise UserError(f"the limits were changed meanwhile: the last change is {book.n}, not {wish.n}")
        old = value_of(book.table, wish.key)
        after = book.after(book.n + 1, wish.key, wish.value)  # refuses what cannot be
        new = value_of(after.table, wish.key)
        if new == old:
            raise UserError(f"{wish.key} is {old} already")
        by, confirmed_by, reason = self._who(link, wish.operator, wish.secret), "", wish.reason
        if loosens(book.table, wish.key, wish.value) and self._operators and self._operators.need_two:
            if not wish.operator:
                raise UserError(
                    f"{old} -> {new} loosens {wish.key}, which takes two operators: say --as NAME"
                )
            content = (wish.key, old, new)
            if not wish.token:
                self._ask(link, content, by, reason, wish)
                return
            ask = self._approvals.confirm(wish.token, content, wish.operator)
            by, confirmed_by, reason = ask.asked_as, by, ask.why
        elif wish.token:
            raise UserError(f"{old} -> {new} of {wish.key} needs nobody's confirmation")
        change = LimitChange(
            n=book.n + 1, key=wish.key, old=old, new=new, by=by, why=reason, t=time.time_ns(),
            confirmed_by=confirmed_by,
        )  # fmt: skip
        self.followed.ask(change)
        self._waiting.append((change.n, link))
        told = {"n": change.n, "key": change.key, "old": old, "new": new, "by": by, "taken": True,
                "confirmed_by": confirmed_by}  # fmt: skip
        self._say_durably(change, lambda: self._tell(link, told))

    def _ask(self, link: Link, content: tuple[str, str, str], by: str, why: str, wish: Wish) -> None:
        ask = self._approvals.ask(content, wish.operator, why, by)
        said = ApprovalAsked(
            what="limit", subject=wish.key, value=content[2], by=by, why=why, token=ask.token,
            until=ask.until, t=ask.t,
        )  # fmt: skip
        told = {"asked": ask.token, "until": ask.until, "key": wish.key, "old": content[1], "new": content[2]}
        self._say_durably(said, lambda: self._tell(link, told))

    def _who(self, link: Link, operator: str, secret: str) -> str:
        user = f"{_user(link.peer_uid)} (pid {link.peer_pid})"
        if not operator:
            return user
        if self._operators is None:
            raise UserError("this gateway knows no operators")
        return f"{self._operators.check(operator, secret)} as {user}"

    def _table(self) -> dict[str, Any]:
        followed = self.followed
        table, start = followed.book.table, self._start
        last = {each.key: each for each in followed.history}
        pending = {each.key for each in followed.pending}
        return {
            "limits": [
                {
                    "key": key, "value": value_of(table, key), "start": value_of(start, key),
                    "pending": key in pending,
                    "changed": msgspec.structs.asdict(last[key]) if key in last else None,
                }
                for key in sorted({*keys_of(table), *last})
            ],
            "n": followed.book.n, "version": table.version,
            "two_keys": bool(self._operators and self._operators.need_two),
            "waiting": [msgspec.to_builtins(each) for each in self._approvals.waiting()],
        }  # fmt: skip

    def _tell(self, link: Link, said: dict[str, Any]) -> None:
        if link.is_open:
            link.send(control(TOLD + msgspec.json.encode(said).decode(), sender="gateway", to="limits"))


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
