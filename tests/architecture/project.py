"""Where the architecture tests find the project: its folder, its root packages and their source files."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def root_packages() -> list[str]:
    """Name the folders that hold an import package of the product."""
    support = {"tests", "tools", "benchmarks"}
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    return sorted(found - support)


def sources(root: str) -> Iterator[Path]:
    """Yield the Python files of one root package."""
    return iter(sorted((ROOT / root).rglob("*.py")))


def module_name(path: Path) -> str:
    """Return the dotted name of a source file of the repository."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
