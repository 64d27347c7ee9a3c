"""No import between our own packages hides from the contracts or from the reader."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.project import ROOT, root_packages, sources

# The one place that loads agents and subcommands by name.
LOADERS = {Path("runtime/host.py")}
DYNAMIC = {"import_module", "__import__"}


def own_imports(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, module) for the imports of our packages below `node`."""
    roots = set(root_packages())
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            yield from ((child.lineno, each.name) for each in child.names if each.name.split(".")[0] in roots)
        elif isinstance(child, ast.ImportFrom) and (
            child.level or (child.module or "").split(".")[0] in roots
        ):
            yield child.lineno, "." * child.level + (child.module or "")


def hidden_imports(tree: ast.Module) -> list[str]:
    """Name the own imports that are not plain statements at the top of the module, and why."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            found += [f"line {line}: {name} inside a function" for line, name in own_imports(node)]
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            found += [f"line {line}: {name} under TYPE_CHECKING" for line, name in own_imports(node)]
        elif isinstance(node, ast.ImportFrom) and node.module == "importlib":
            names = {alias.name for alias in node.names}
            found += [f"line {node.lineno}: {name} is for runtime/host.py" for name in names & DYNAMIC]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in DYNAMIC:
            found.append(f"line {node.lineno}: {ast.unparse(node.func)} is for runtime/host.py")
    return found


@pytest.mark.parametrize("root", root_packages())
def test_no_hidden_imports(root: str) -> None:
    found = {
        str(path.relative_to(ROOT)): hidden
        for path in sources(root)
        if path.relative_to(ROOT) not in LOADERS
        and (hidden := hidden_imports(ast.parse(path.read_text(encoding="utf-8"))))
    }

    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    import parley.ids",
        "async def f():\n    from parley import ids",
        "class A:\n    def f(self):\n        from . import ids",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from agents.risk import Risk",
        "import typing as t\nif t.TYPE_CHECKING:\n    import runtime",
        "import importlib\nimportlib.import_module('agents.risk')",
        "from importlib import import_module",
        "__import__('parley')",
    ],
)
def test_hidden_import_is_found(text: str) -> None:
    assert hidden_imports(ast.parse(text)) != []


@pytest.mark.parametrize(
    "text",
    [
        "import parley.ids\nfrom agents import risk",
        "def f():\n    import numpy",
        "if TYPE_CHECKING:\n    import numpy",
        "import importlib.resources",
    ],
)
def test_open_import_is_no_finding(text: str) -> None:
    assert hidden_imports(ast.parse(text)) == []
