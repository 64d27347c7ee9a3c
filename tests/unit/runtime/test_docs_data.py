"""docs/data.md names every command, finding and format there is."""

from __future__ import annotations

import re
from pathlib import Path

from runtime.cli_data import app
from runtime.marketstore.check import CODES
from runtime.marketstore.formats import SUFFIX_OF

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "data.md").read_text(encoding="utf-8")


def test_every_finding_has_a_line() -> None:
    rows = re.search(r"\| finding \| means \|\n(.*?)\n\n", TEXT, re.DOTALL)
    assert rows is not None

    assert set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\|(.*?)\|", rows[1], re.MULTILINE)))) == set(
        CODES
    )


def test_every_command_and_format_is_named() -> None:
    names = [
        command.name or command.callback.__name__ for command in app.registered_commands if command.callback
    ]

    assert len(names) == 5
    for name in names:
        assert f"parley data {name} " in TEXT or f"parley data {name}\n" in TEXT
    for name in SUFFIX_OF:
        assert f"`{name}`" in TEXT
