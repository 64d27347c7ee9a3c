"""The only ledger: fills to cash, positions, sub-ledgers and PnL, by double entry."""

from .ledger import Ledger
from .postings import EXTERNAL, OPENING, UNASSIGNED, Move, Posting, Transaction

__all__ = ["EXTERNAL", "OPENING", "UNASSIGNED", "Ledger", "Move", "Posting", "Transaction"]
