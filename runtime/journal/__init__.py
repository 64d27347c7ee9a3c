"""The journal: one hash-chained SQLite file that holds everything a run decided, and why.

`JournalWriter` makes groups durable, `JournalReader` reads them, `verify` checks a file.
What is not here: the meaning of records (`parley.messages`) and what has to be durable
before which effect (the desk). Invariant: a group is in the file whole or not at all, in
the order of `append`, and any later change of a row breaks the chain.
"""

from runtime.journal.chain import Fault
from runtime.journal.reader import JournalReader
from runtime.journal.schema import (
    SCHEMA_VERSION,
    DuplicateIntent,
    Group,
    GroupRow,
    IntentRow,
    InvalidGroup,
    JournalCorrupt,
    JournalError,
    JournalExists,
    JournalFailed,
    JournalVersionError,
    Record,
    Snapshot,
)
from runtime.journal.verify import VerifyReport, verify
from runtime.journal.writer import JournalWriter

__all__ = [
    "SCHEMA_VERSION",
    "DuplicateIntent",
    "Fault",
    "Group",
    "GroupRow",
    "IntentRow",
    "InvalidGroup",
    "JournalCorrupt",
    "JournalError",
    "JournalExists",
    "JournalFailed",
    "JournalReader",
    "JournalVersionError",
    "JournalWriter",
    "Record",
    "Snapshot",
    "VerifyReport",
    "verify",
]
