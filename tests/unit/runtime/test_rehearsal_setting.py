"""`desk.rehearse` is refused where it would warm the wrong processes."""

import pytest

from parley.errors import UserError
from runtime.settings import load_settings


def test_rehearsing_needs_agents_in_the_desks_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_DESK__REHEARSE", "true")
    assert load_settings().desk.rehearse

    monkeypatch.setenv("PARLEY_DESK__PLACEMENT", "spread")
    with pytest.raises(UserError, match=r"rehearse needs desk\.placement 'packed', was 'spread'"):
        load_settings()
