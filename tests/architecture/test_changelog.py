"""The changelog speaks about the version that is built."""

from __future__ import annotations

import re

from tests.architecture.project import PYPROJECT, ROOT


def test_version_has_an_entry_in_the_changelog() -> None:
    version = PYPROJECT["project"]["version"]
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert version in headings
