"""An agent that does not return ends the process, named; one that is merely busy does not."""

import subprocess
import sys

import pytest

from runtime.watchdog import HUNG, Watchdog

HEAD = """
import sys, time
from runtime.watchdog import Watchdog
dog = Watchdog({limit_s})
dog.start()
def handle(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
"""
pytestmark = pytest.mark.timeout(60)


def told(body: str, limit_s: float) -> tuple[int, list[str], str]:
    """Run some lines under a watchdog; return exit code, lines of standard error, standard output."""
    done = subprocess.run(
        [sys.executable, "-c", HEAD.format(limit_s=limit_s) + body],
        capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip
    return done.returncode, done.stderr.splitlines(), done.stdout


def test_agent_that_never_returns_ends_the_process_and_is_named() -> None:
    code, lines, out = told(
        """
dog.enter("strategy/good", 6); dog.leave()
dog.enter("strategy/stuck", 7)
handle(3600)
print("not reached")
""",
        0.3,
    )

    assert (code, out) == (HUNG, "")
    assert "agent 'strategy/stuck' did not return from message 7 within 0.3 s" in lines[-1]
    assert "it was in handle" in lines[-1]
    assert any("in handle" in line for line in lines[:-1]), "the stack stands before it"
    assert not any("watchdog.py" in line for line in lines), "the stack is the agent's"


def test_many_calls_that_return_are_no_hang_however_long_they_take_together() -> None:
    code, lines, out = told(
        """
for seq in range(40):
    dog.enter("strategy/busy", 7)
    handle(0.05)
    dog.leave()
time.sleep(1.0)
dog.stop()
print("done")
""",
        0.5,
    )

    assert (code, lines, out) == (0, [], "done\n")


def test_time_in_which_the_whole_process_was_stopped_is_nobody_s_fault() -> None:
    code, lines, out = told(
        """
import os, signal, subprocess
pid = os.getpid()
dog.enter("strategy/stopped", 1)
handle(0.3)
other = subprocess.Popen([sys.executable, "-c",
    f"import os, time; os.kill({pid}, 19); time.sleep(3); os.kill({pid}, 18)"])
other.wait()
handle(0.3)
dog.leave()
dog.stop()
print("done")
""",
        2.0,
    )

    assert (code, lines, out) == (0, [], "done\n")


def test_code_that_keeps_the_interpreter_to_itself_ends_the_process_too() -> None:
    code, lines, out = told(
        """
import re
dog.enter("strategy/regex", 1)
re.match("(a+)+$", "a" * 60 + "b")
""",
        0.3,
    )

    assert (code, out) == (1, "")
    assert lines[0].startswith("Timeout")
    assert any("re" in line for line in lines[1:])


def test_entering_and_leaving_only_write_attributes() -> None:
    dog = Watchdog()
    dog.enter("risk/main", 3)
    names = {*Watchdog.enter.__code__.co_names, *Watchdog.leave.__code__.co_names}

    assert names <= {"_agent", "_seq", "_turn"}, "a clock or a lock here would cost every call of every agent"
