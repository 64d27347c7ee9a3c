"""Which files of the repository some of its modules rest on.

Not here: what the list is for. Invariant: found by reading imports, without importing anything.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def sources_of(begins: Iterable[str], root: Path) -> list[Path]:
    """Return these files of a repository and those of it that they import, directly or not."""
    found: set[Path] = set()
    waiting = [root / name for name in begins]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_bytes())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            places = [root.joinpath(*name.split(".")) for name in names]
            modules = [place.with_suffix(".py") for place in places]
            waiting += [module for module in modules if module.is_file()]
            waiting += [place / "__init__.py" for place in places if (place / "__init__.py").is_file()]
    return sorted(found)
