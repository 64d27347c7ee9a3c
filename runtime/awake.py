"""Keeps a machine's cores awake between events, so that the next event finds one that runs.

Problem: a core with nothing to do is put to sleep, in a virtual machine by giving it back to the host. Waking
it takes up to a tenth of a millisecond, and an order passes from one process to another a dozen times. Linux
lets a process say how long waking may take: for 0 us idle cores wait without sleeping (PM QoS,
https://docs.kernel.org/power/pm_qos_interface.html), and a waiting core is woken without an interrupt.

Costs: idle cores use as much power as busy ones, and on a rented machine as much processor time.
Not here: who asks for it (`desk.awake`). Invariant: a run that asked for it has it or does not start; it ends
with the process, however that ends.
"""

import struct
from io import FileIO
from pathlib import Path
from typing import Final

from parley.errors import ConfigError

DEVICE: Final = Path("/dev/cpu_dma_latency")
_NO_WAKING_US: Final = struct.pack("=i", 0)


def allowed() -> bool:
    """Whether `keep_awake` would do so, for who can do without."""
    try:
        keep_awake().close()
    except ConfigError:
        return False
    return True


def keep_awake(device: Path = DEVICE) -> FileIO:
    """Let no core of this machine sleep until what is returned is closed.

    Raises
    ------
    ConfigError
        When the machine does not allow it, or has no such device.
    """
    try:
        held = FileIO(device, "r+")  # not "w", which would make a file where there is no device
        held.write(_NO_WAKING_US)
    except OSError as error:
        raise ConfigError(
            f"desk.awake: this machine does not allow it: {error.strerror}: expected {str(device)!r} "
            "to be a device that this user may write, as root may on most machines, but in few containers"
        ) from error
    return held
