"""The numbers kernels use for words: why a trade ended, what is asked of the driver, how a run stopped."""

# Exit reasons; what a strategy names itself is NAMED + an index into the driver's list of texts.
NONE = 0
ROI = 1
STOP_LOSS = 2
TRAILING_STOP_LOSS = 3
LIQUIDATION = 4
EXIT_SIGNAL = 5
FORCE_EXIT = 6
CUSTOM_EXIT = 7
PARTIAL_EXIT = 8
NAMED = 100

REASON_TEXTS = {
    NONE: "",
    ROI: "roi",
    STOP_LOSS: "stop_loss",
    TRAILING_STOP_LOSS: "trailing_stop_loss",
    LIQUIDATION: "liquidation",
    EXIT_SIGNAL: "exit_signal",
    FORCE_EXIT: "force_exit",
    CUSTOM_EXIT: "custom_exit",
    PARTIAL_EXIT: "partial_exit",
}

# Questions to the driver, places of its port: exact arithmetic (numbers in the box) ...
ASK_VALUE = 1
ASK_STAKE = 2
ASK_QUOTIENT = 3
ASK_AVERAGE = 4
ASK_AMOUNT_PRECISION = 5
ASK_PRICE_PRECISION = 6
ASK_RECALCULATE = 7
# ... what happened to the book of closed trades ...
ASK_PROTECTIONS = 8
ASK_REJECTED = 9
"""Not a question: a signal found no free slot; pair, date and signal row are in the box."""
ASK_WALLET = 10
"""Not a question: the wallet has a new snapshot."""
# ... and the strategy's callbacks.
ASK_BOT_LOOP_START = 20
ASK_CUSTOM_ENTRY_PRICE = 21
ASK_CUSTOM_EXIT_PRICE = 22
ASK_CUSTOM_STAKE = 23
ASK_LEVERAGE = 24
ASK_CONFIRM_ENTRY = 25
ASK_CONFIRM_EXIT = 26
ASK_CUSTOM_STOPLOSS = 27
ASK_CUSTOM_EXIT = 28
ASK_CUSTOM_ROI = 29
ASK_ADJUST_POSITION = 30
ASK_ADJUST_ORDER_PRICE = 31
ASK_ENTRY_TIMEOUT = 32
ASK_EXIT_TIMEOUT = 33
ASK_ORDER_FILLED = 34
PLACES = 35
"""Places of a port; the first tells of a failure (`ports`)."""

# How a run stands
RUNNING = 0
DONE = 1
GROW = 2
"""The driver makes the tables larger and calls again."""
STOPPED = 3
"""The driver holds the reason: a callback failed, or freqtrade would have stopped."""
STAKE_ABOVE_TIERS = 4
NO_MAINTENANCE_AMOUNT = 5
NO_PRICE = 6
"""A candle that matters has a price that is no number; pair and row are in the box."""

# Signal bits of a candle
ENTER_LONG = 1
ENTER_SHORT = 2
ENTER_LONG_SET = 4
"""Set and not zero: what freqtrade takes as true where it does not compare with 1."""
ENTER_SHORT_SET = 8
EXIT_LONG = 16
EXIT_SHORT = 32
EXIT_LONG_SET = 64
EXIT_SHORT_SET = 128

# Ways a precision is applied
UNROUNDED = 0
GRID = 1
"""Multiples of step / scale, both whole numbers."""
ODD = 2
"""Everything else: computed exactly by the driver."""
