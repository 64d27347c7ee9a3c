"""The tables of a simulation: one record type per thing, packed as C packs them.

All rates, amounts and stakes are float64 in the units freqtrade uses; all times int64 ms UTC; whole-number
fields are int64, truths 0 or 1. NaN stands for freqtrade's None in a float, -1 in a time or an index.

Not here: how the tables are filled from settings and frames (`backtest`).

Invariant: every field is eight bytes, so records have no gaps and the same layout for numpy and for C.
"""

import numpy as np

ROI_STEPS = 64
"""Longest ROI table."""
BOX = 32
"""Numbers a question to the driver can carry, and its answer."""

DESK = np.dtype(
    [
        ("port", "i8"),
        ("box", "f8", (BOX,)),
        # Tables, by address
        ("pairs", "i8"),
        ("trades", "i8"),
        ("orders", "i8"),
        ("closed", "i8"),
        ("ticks", "i8"),
        ("tiers", "i8"),
        ("open_slots", "i8"),
        ("free_slots", "i8"),
        ("next_step", "i8"),
        ("line", "i8"),
        ("last_order", "i8"),
        ("sums", "i8"),
        # What the lists of orders are made of at the end: objects, words and whose they are, where they go
        ("order_parts", "i8"),
        ("tag_words", "i8"),
        ("tag_places", "i8"),
        ("reason_words", "i8"),
        ("reason_places", "i8"),
        ("order_lists", "i8"),
        ("pair_count", "i8"),
        ("slot_count", "i8"),
        ("order_capacity", "i8"),
        ("closed_capacity", "i8"),
        # Time
        ("timeframe_ms", "i8"),
        ("timeframe_min", "i8"),
        ("detail_ms", "i8"),
        ("start_ms", "i8"),
        ("last_step", "i8"),
        ("end_ms", "i8"),
        ("expire_ms", "f8"),
        # Money
        ("fee", "f8"),
        ("fee_hi", "f8"),
        ("fee_lo", "f8"),
        ("stake_amount", "f8"),
        ("start_cap", "f8"),
        ("cross_extra", "f8"),
        ("available_capital", "f8"),
        ("tradable_ratio", "f8"),
        ("amend_last", "i8"),
        ("last_min_ratio", "f8"),
        ("margin_reserve", "f8"),
        ("max_open_trades", "f8"),
        ("stacking", "i8"),
        ("futures", "i8"),
        ("cross", "i8"),
        ("can_short", "i8"),
        ("liquidation_formula", "i8"),
        ("liquidation_buffer", "f8"),
        ("funding_ms", "i8"),
        ("compensated", "i8"),
        # Exits
        ("roi_steps", "i8"),
        ("roi_minutes", "i8", (ROI_STEPS,)),
        ("roi_ratios", "f8", (ROI_STEPS,)),
        ("stoploss", "f8"),
        ("trailing_stop", "i8"),
        ("trailing_positive", "f8"),
        ("trailing_offset", "f8"),
        ("trailing_only_offset", "i8"),
        ("use_exit_signal", "i8"),
        ("exit_profit_only", "i8"),
        ("exit_profit_offset", "f8"),
        ("ignore_roi", "i8"),
        # Orders
        ("entry_limit", "i8"),
        ("exit_limit", "i8"),
        ("entry_timeout_ms", "f8"),
        ("exit_timeout_ms", "f8"),
        ("protections", "i8"),
        # Callbacks: 1 where the strategy has its own
        ("hook_bot_loop_start", "i8"),
        ("hook_entry_price", "i8"),
        ("hook_exit_price", "i8"),
        ("hook_stake", "i8"),
        ("hook_leverage", "i8"),
        ("hook_confirm_entry", "i8"),
        ("hook_confirm_exit", "i8"),
        ("hook_stoploss", "i8"),
        ("hook_exit", "i8"),
        ("hook_roi", "i8"),
        ("hook_adjust_position", "i8"),
        ("hook_adjust_order", "i8"),
        ("hook_entry_timeout", "i8"),
        ("hook_exit_timeout", "i8"),
        ("hook_order_filled", "i8"),
        ("stop_after_fill", "i8"),
        ("max_entry_adjustment", "i8"),
        ("last_tier_only", "i8"),
        ("skips", "i8"),
        # 1 where callbacks may look at other trades and at the wallet, and where rejected signals are listed
        ("watched", "i8"),
        ("notes_rejected", "i8"),
        # 1 where every snapshot of the wallet is told
        ("notes_wallet", "i8"),
        # Whole records of closed trades, when watched
        ("kept", "i8"),
        # State
        ("status", "i8"),
        ("step", "i8"),
        ("now", "i8"),
        # How many pairs of `line` go first in this step; -1: every pair had its turn in it
        ("line_count", "i8"),
        # The pair whose turn it is
        ("turn", "i8"),
        ("open_count", "i8"),
        # Of how many open trades, the first ones, `sums` is right; how many of their orders are open
        ("summed", "i8"),
        ("waiting", "i8"),
        ("free_count", "i8"),
        ("closed_count", "i8"),
        ("order_count", "i8"),
        ("free_order", "i8"),
        ("trade_id", "i8"),
        ("order_id", "i8"),
        ("wallet_free", "f8"),
        ("wallet_used", "f8"),
        ("wallet_total", "f8"),
        ("wallet_collateral", "f8"),
        ("total_profit", "f8"),
        ("closed_profit", "f8"),
        ("closed_profit_rest", "f8"),
        ("rejected", "i8"),
        ("timedout_entry", "i8"),
        ("timedout_exit", "i8"),
        ("canceled_trades", "i8"),
        ("canceled_entry", "i8"),
        ("replaced_entry", "i8"),
        ("canceled_exit", "i8"),
        ("replaced_exit", "i8"),
    ]
)

PAIR = np.dtype(
    [
        # Candles after trimming; row i trades on the signals of row i - 1
        ("rows", "i8"),
        ("dates", "i8"),
        ("opens", "i8"),
        ("highs", "i8"),
        ("lows", "i8"),
        ("closes", "i8"),
        ("signals", "i8"),
        # The columns the bits are made of, and their kinds (`reading`)
        ("enter_long", "i8"),
        ("enter_long_kind", "i8"),
        ("exit_long", "i8"),
        ("exit_long_kind", "i8"),
        ("enter_short", "i8"),
        ("enter_short_kind", "i8"),
        ("exit_short", "i8"),
        ("exit_short_kind", "i8"),
        ("gaps", "i8"),
        ("row", "i8"),
        ("first_step", "i8"),
        ("steps", "i8"),
        ("rank", "i8"),
        ("entered_late", "i8"),
        ("open_trades", "i8"),
        ("slot", "i8"),
        ("lock_long", "i8"),
        ("lock_short", "i8"),
        # Detail candles
        ("detail_rows", "i8"),
        ("detail_dates", "i8"),
        ("detail_opens", "i8"),
        ("detail_highs", "i8"),
        ("detail_lows", "i8"),
        ("detail_closes", "i8"),
        ("detail_first", "i8"),
        ("detail_count", "i8"),
        ("direction", "i8"),
        ("was_open", "i8"),
        ("stamp", "i8"),
        # Precision of amounts
        ("amount_way", "i8"),
        ("amount_step", "f8"),
        ("amount_scale", "f8"),
        ("contract_size", "f8"),
        # Limits in stake currency or base currency; NaN: none
        ("min_cost_entry", "f8"),
        ("min_cost_adjust", "f8"),
        ("min_cost_position", "f8"),
        ("min_amount", "f8"),
        ("max_cost", "f8"),
        ("max_amount", "f8"),
        # Ranges in the shared tables
        ("first_tick", "i8"),
        ("tick_count", "i8"),
        ("first_tier", "i8"),
        ("tier_count", "i8"),
        ("taker_fee", "f8"),
        ("inverse", "i8"),
        ("funding_rows", "i8"),
        ("funding_dates", "i8"),
        ("funding_fees", "i8"),
    ]
)

TICK = np.dtype(
    [
        ("from_ms", "i8"),
        ("way", "i8"),
        ("step", "f8"),
        ("scale", "f8"),
        # Rounding up and down: 1 where it works on decimals, 0 where on floats (decimal places)
        ("by_tick", "i8"),
        ("precision", "f8"),
        ("mode", "i8"),
    ]
)

TIER = np.dtype(
    [
        ("min_notional", "f8"),
        ("max_notional", "f8"),
        ("maintenance_rate", "f8"),
        ("max_leverage", "f8"),
        ("maintenance_amount", "f8"),
    ]
)

TRADE = np.dtype(
    [
        # The first FILED fields are what is kept of a closed trade.
        ("pair", "i8"),
        ("is_short", "i8"),
        ("open_date", "i8"),
        ("close_date", "i8"),
        ("open_rate", "f8"),
        ("close_rate", "f8"),
        ("amount", "f8"),
        ("stake_amount", "f8"),
        ("max_stake_amount", "f8"),
        ("leverage", "f8"),
        ("close_profit", "f8"),
        ("close_profit_abs", "f8"),
        ("initial_stop_loss", "f8"),
        ("initial_stop_loss_pct", "f8"),
        ("stop_loss", "f8"),
        ("stop_loss_pct", "f8"),
        ("max_rate", "f8"),
        ("min_rate", "f8"),
        # The signal row of the entry tag; -1: no tag; -2 and below: the driver's text -2 - n
        ("enter_tag", "i8"),
        ("exit_reason", "i8"),
        ("exit_row", "i8"),
        ("funding_fees", "f8"),
        ("first_order", "i8"),
        # Of a trade that is one entry and one exit with the trade's own tags: its two orders (else plain is
        # 0)
        ("plain", "i8"),
        ("entry_amount", "f8"),
        ("entry_price", "f8"),
        ("entry_date", "i8"),
        ("entry_cost", "f8"),
        ("exit_amount", "f8"),
        ("exit_price", "f8"),
        ("exit_date", "i8"),
        ("exit_cost", "f8"),
        # The rest is needed while it is open.
        ("id", "i8"),
        ("slot", "i8"),
        ("is_open", "i8"),
        ("open_rate_requested", "f8"),
        ("amount_requested", "f8"),
        ("open_trade_value", "f8"),
        ("realized_profit", "f8"),
        ("trailing", "i8"),
        ("liquidation", "f8"),
        ("funding_running", "f8"),
        ("tick", "i8"),
        ("last_order", "i8"),
        ("filled_entries", "i8"),
        ("filled_exits", "i8"),
        ("open_orders", "i8"),
        ("last_filled", "i8"),
        # What the first fill makes of the trade, kept
        ("known_amount", "f8"),
        ("known_price", "f8"),
        ("known_stake", "f8"),
        ("known_cut", "f8"),
        ("known_average", "f8"),
        ("known_rate", "f8"),
        ("known_value", "f8"),
        # The stop last worked out: from which price, by which share; NaN: none yet
        ("stop_from", "f8"),
        ("stop_share", "f8"),
        ("stop_at", "f8"),
        # What skipping quiet candles knows
        ("quiet_high", "f8"),
        ("quiet_low", "f8"),
        # Where skipping began, and the extremes known there; -1: nothing was skipped
        ("seen_row", "i8"),
        ("seen_most", "f8"),
        ("seen_least", "f8"),
        # What the wallet's last snapshot has of it, when watched; NaN: it was not there yet
        ("wallet_amount", "f8"),
        ("wallet_pending", "f8"),
        ("wallet_stake", "f8"),
    ]
)
FILED = 32
BLOCK = 1000
"""Closed trades lie in blocks of this many, in a block column by column: written one after the other, so that
memory not needed is never touched."""

ORDER = np.dtype(
    [
        ("id", "i8"),
        ("trade_id", "i8"),
        ("next", "i8"),
        ("is_entry", "i8"),
        ("is_open", "i8"),
        ("order_date", "i8"),
        ("filled_date", "i8"),
        ("price", "f8"),
        ("amount", "f8"),
        ("filled", "f8"),
        ("remaining", "f8"),
        ("cost", "f8"),
        ("funding_fee", "f8"),
        # As enter_tag for an entry, as exit_reason and exit_row for an exit
        ("tag", "i8"),
        ("tag_row", "i8"),
    ]
)
