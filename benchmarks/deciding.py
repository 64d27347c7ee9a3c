"""How long deciding alone takes: a journal's messages through the same agents again, in one process.

No file is written and no socket used; time runs from the admission of a message to the first group with
an order in it. Not here: the round with its commits and hops (`bench_round`).
"""

import gc
import time
from pathlib import Path

from orchestrator.cascade import groups_in
from parley.messages import decode, decode_envelope
from runtime.bootstrap import assemble
from runtime.journal import JournalReader
from runtime.refold import EXTERNAL, config_of, lateness


def deciding_us(journal: Path) -> list[float]:
    """Return the time to each order of a run, us.

    Raises
    ------
    RuntimeError
        When the fold does not give as many orders as the journal holds.
    """
    samples: list[float] = []
    with JournalReader(journal) as reader:
        run = config_of(reader)
        assembly = assemble(run, late=lateness(reader))
        firm, orders = assembly.firm, 0
        gc.collect()
        gc.disable()
        try:
            for record in reader.records():
                envelope = decode_envelope(record.body)
                if envelope.sender not in EXTERNAL:
                    orders += envelope.to == "gateway"
                    continue
                message = decode(envelope.body)
                firm.table.epoch = envelope.epoch
                start = time.perf_counter_ns()
                cascade = firm.admit(
                    message, envelope.sender, t_event=envelope.t_event, t_mono=envelope.t_mono,
                    t_recv=envelope.t_recv,
                )  # fmt: skip
                for group in groups_in(cascade, assembly.transport.exchange):
                    if group.orders:
                        samples += [(time.perf_counter_ns() - start) / 1000] * len(group.orders)
        finally:
            gc.enable()
    if len(samples) != orders:
        raise RuntimeError(f"the fold gave {len(samples)} orders, the journal holds {orders}")
    return samples
