"""The order in which processes ended is known however late, and in whatever order, one asks."""

import os
import subprocess
import sys
from itertools import permutations

import pytest

from runtime.endings import Endings

SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_ends_are_told_in_the_order_in_which_they_happened(order: tuple[int, ...]) -> None:
    endings = Endings()
    children = [subprocess.Popen(SLEEP) for _ in order]
    for child in children:
        endings.watch(child.pid)

    for n in order:
        children[n].kill()
        os.waitid(os.P_PID, children[n].pid, os.WEXITED | os.WNOWAIT)  # ended, and not reaped
    for child in children:
        child.wait()

    assert endings.read() == [children[n].pid for n in order]
    assert endings.read() == [children[n].pid for n in order], "asking again changes nothing"
    endings.close()


def test_nothing_is_told_of_a_process_that_runs() -> None:
    endings = Endings()
    child = subprocess.Popen(SLEEP)
    endings.watch(child.pid)

    assert endings.read() == []

    child.kill()
    child.wait()
    endings.close()
