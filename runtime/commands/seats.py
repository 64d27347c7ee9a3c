"""`parley agents pause|resume|restart`: tell one agent's process what to do.

Not here: how it is done (`ray_driver`).

Invariant: nothing is said to have happened before the driver says so.
"""

from pathlib import Path

from parley.errors import UserError
from runtime.output import console, print_json
from runtime.placement import running_processes
from runtime.ray_control import Answer, Question, ask
from runtime.settings import Settings

_DONE = {
    "pause": "is silent until it is resumed: the desk counts it as no answer",
    "resume": "answers again",
    "restart": "is restarting",
}


def command_agent(settings: Settings, do: str, agent: str, *, as_json: bool) -> None:
    """Tell an agent of the newest running desk to pause, resume or restart.

    Raises
    ------
    UserError
        When nothing runs, its agents have no processes of their own, or there is no such agent.
    """
    processes = running_processes(settings.home)
    if not processes.control:
        raise UserError(
            f"the agents of run {processes.run} are in the desk's process (placement 'packed'): "
            "only 'spread' gives each a process that can be told something, see 'parley up'"
        )
    said: Answer = ask(Path(processes.control), Question(do, agent))
    if as_json:
        print_json({"done": do, **said})
    else:
        console().print(f"agent {said['agent']} {_DONE[do]}", style="bold")
