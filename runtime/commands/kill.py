"""`parley kill` and `parley release`: what was done, on the screen or as JSON.

Not here: doing it (`killing`). Invariant: the exit code is 1 as long as something is not confirmed.
"""

import os
import shlex
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from parley.errors import nearest
from runtime import killing
from runtime.defaults import default_agents
from runtime.kill_file import Kill, Standing
from runtime.operators import OPERATOR_KEY
from runtime.output import console, print_json
from runtime.settings import Settings
from runtime.standing_kills import told


def kill(settings: Settings, scopes: Sequence[str], mode: str, reason: str, *, as_json: bool) -> int:
    """Kill; the exit code is 1 when a gateway could not be reached or an order is not confirmed gone."""
    result = killing.kill(settings.home, scopes, mode, reason)
    _say(result, as_json=as_json)
    agents = sorted({*(spec.id for spec in default_agents()), *settings.agents})
    for scope in scopes:
        level, _, name = scope.partition(":")
        # the kill stands all the same: a strategy given to `parley trade` is not among these
        if level == "bot" and name not in agents and not as_json:
            console().print(
                Text(f"note: no agent of these settings is called {name!r}; {nearest(name, agents)}")
            )
    return 0 if all(each["error"] is None and not each["unconfirmed"] for each in result["accounts"]) else 1


def release(
    settings: Settings, scopes: Sequence[str], reason: str, operator: str = "", token: str = "", *,
    as_json: bool,
) -> int:  # fmt: skip
    """Release; the exit code is 1 when a running gateway did not hear of it."""
    key = os.environ.get(OPERATOR_KEY, "")
    result = killing.release(settings.home, scopes, reason, operator, key, token)
    _say(result, as_json=as_json)
    if result["standing"] and not result["waiting"] and not as_json:
        said = (
            f"what stands was killed under another scope than {' '.join(scopes)}; --scope platform ends all"
        )
        console().print(Text(said), soft_wrap=True)
    return 0 if all(each["error"] is None for each in result["accounts"]) else 1


def _say(result: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(result)
        return
    out = console()
    standing = Standing(tuple(Kill(**each) for each in result["standing"]), damage=result["damage"])
    for stop in told(standing, None):
        out.print(Text(stop.line(), style="bold red" if standing.damage else ""), soft_wrap=True)
    for each in result["waiting"]:
        out.print(
            Text(
                f"asked for: release of {each['scope']}, by {each['by']}, reason: {each['reason']!r}; another"
                f" operator ends it with: parley release --scope {shlex.quote(each['scope'])} --as NAME"
                f" --confirm {each['token']}"
            ),
            soft_wrap=True,
        )
    if standing == Standing():
        out.print("nothing is killed", style="bold")
    if not result["accounts"]:
        out.print("no gateway runs; whatever starts obeys the file")
    for each in result["accounts"]:
        out.print(Text(_line(each)), soft_wrap=True)


def _line(said: dict[str, Any]) -> str:
    if said["error"]:
        return f"account {said['account']}: {said['error']}"
    how = f"pid {said['pid']} obeys"
    if said["taken_over"]:
        how = (
            f"ended gateway {said['ended']} and took over"
            if said["ended"]
            else "took over what an ended run left"
        )
    text = f"account {said['account']}: {how}"
    if said["cancels_sent"]:
        text += f"; {said['confirmed']} orders cancelled in {said['cancel_ms']} ms"
    if said["unconfirmed"]:
        text += f"; NOT CONFIRMED: {', '.join(said['unconfirmed'])}"
    return text
