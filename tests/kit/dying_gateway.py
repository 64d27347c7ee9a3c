"""A gateway that ends or stops itself at a named place: ``python -m tests.kit.dying_gateway --config FILE``.

``FILE.fuses`` lists, as JSON, one fuse for each gateway that begins to serve: ``place:n``, with ``:stop``
behind it for SIGSTOP instead of SIGKILL, or empty. Places are those where the order of two effects of sending
matters; the gateway's own code is wrapped, nothing in it knows of this.

Not here: killing at a random moment. Invariant: a fuse is used once, by whoever takes it off the list.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

from parley.messages import Fill
from runtime import gateway, gateway_orders
from runtime.gateway_log import GatewayLog
from runtime.gateway_orders import Gateway
from runtime.heard_facts import HeardFacts
from runtime.resync import Retelling
from tests.kit.dying_desk import Fuse as _Fuse

WHILE_SENDING: Final = (
    "order_came", "attempt_durable", "request_begun", "answer_unsaid", "answer_said", "fill_heard",
)  # fmt: skip
WHILE_STARTING: Final = ("adopting", "retelling")


class Fuse(_Fuse):
    """Ends or stops this process at the n-th passing of the place."""

    def __init__(self, text: str) -> None:
        place, n, *how = text.split(":")
        super().__init__(f"{place}:{n}")
        self.is_armed = True
        self._signal = signal.SIGSTOP if how == ["stop"] else signal.SIGKILL

    def burn(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self._signal)


def set_up(fuse: Fuse) -> None:
    """Wrap the place of a fuse; an unknown one is an error."""
    match fuse.place:
        case "order_came":
            fuse.before(GatewayLog, "attempt")
        case "attempt_durable":
            fuse.before(Gateway, "_place")
        case "request_begun":
            begun = gateway_orders.Begun

            def begin(work: Any) -> Any:
                made = begun(work)
                fuse.burn()
                return made

            gateway_orders.Begun = begin  # type: ignore[assignment, misc]
        case "answer_unsaid":
            fuse.before(Gateway, "_conclude")
        case "answer_said":
            fuse.after(Gateway, "_conclude")
        case "fill_heard":
            fuse.before(HeardFacts, "tell", lambda _, fact: isinstance(fact, Fill))
        case "adopting":
            fuse.before(Gateway, "adopt")
        case "retelling":
            fuse.before(Retelling, "deliver")
        case _:
            raise SystemExit(f"no place {fuse.place!r}")


def take(file: Path) -> str:
    """Take the next fuse off the list; empty when there is none."""
    if not file.exists():
        return ""
    first, *rest = json.loads(file.read_text()) or [""]
    file.write_text(json.dumps(rest))
    return str(first)


def main() -> int:
    serve = gateway.serve

    async def mortal(*arguments: Any, **named: Any) -> None:
        if text := take(Path(sys.argv[sys.argv.index("--config") + 1] + ".fuses")):
            set_up(Fuse(text))
        await serve(*arguments, **named)

    gateway.serve = mortal
    return gateway.main()


if __name__ == "__main__":
    sys.exit(main())
