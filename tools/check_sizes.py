"""Keep files, classes and functions small: fail on any above the limit that is not listed.

Problem: a limit that is switched on late meets code that breaks it, and a limit with exceptions grows more
of them. So `size_ratchet.json` lists what is too large with its size, and that list can only shrink:
a listed thing may not grow, and once it is smaller the entry has to follow.

Not here: what to do instead (house style: one concept per file, roles as modules).

Invariant: with an empty list, exit code 0 means that no file has more than 500 lines, no class more than
20 public methods and no function more than 80 lines.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RATCHET = Path("tools/size_ratchet.json")
LIMITS = {"file lines": 500, "class public methods": 20, "function lines": 80}
SKIPPED_FOLDERS = {"node_modules", "var", "build", "dist", "__pycache__"}
# The list is compared with itself as last committed and as committed before that, so that an added entry is
# found both before its commit and in the run of CI on it.
EARLIER_COMMITS = ("HEAD", "HEAD~1")

Sizes = dict[str, int]


def source_files(root: Path) -> Iterator[Path]:
    """Yield the Python files below `root`, without hidden and generated folders."""
    for path in sorted(root.rglob("*.py")):
        folders = path.relative_to(root).parts[:-1]
        if not any(part in SKIPPED_FOLDERS or part.startswith(".") for part in folders):
            yield path


def measure(text: str, name: str) -> Iterator[tuple[str, str, int]]:
    """Yield (kind, key, size) of a file and of everything in it; kinds are the keys of `LIMITS`."""
    yield "file lines", name, len(text.splitlines())
    yield from _measure_node(ast.parse(text, name), name + "::")


def _measure_node(node: ast.AST, prefix: str) -> Iterator[tuple[str, str, int]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            key = prefix + child.name
            methods = {
                item.name
                for item in child.body
                if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and not item.name.startswith("_")
            }
            yield "class public methods", key, len(methods)
            yield from _measure_node(child, key + ".")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            key = prefix + child.name
            yield "function lines", key, (child.end_lineno or child.lineno) - child.lineno + 1
            yield from _measure_node(child, key + ".")
        else:
            yield from _measure_node(child, prefix)


def find_oversized(root: Path) -> Sizes:
    """Return everything above its limit below `root`, as key -> size; the key starts with the kind."""
    oversized: Sizes = {}
    for path in source_files(root):
        name = path.relative_to(root).as_posix()
        for kind, key, size in measure(path.read_text(encoding="utf-8"), name):
            if size > LIMITS[kind]:
                label = f"{kind}: {key}"
                oversized[label] = max(size, oversized.get(label, 0))
    return oversized


def compare(oversized: Sizes, listed: Sizes, earlier: Iterable[Sizes] = ()) -> list[str]:
    """Return one line per violation, each saying what to do; empty means the gate is passed."""
    problems = []
    for key, size in sorted(oversized.items()):
        limit = LIMITS[key.partition(":")[0]]
        if key not in listed:
            problems.append(f"{key} has {size}, the limit is {limit}: split it")
        elif size > listed[key]:
            problems.append(f"{key} grew from {listed[key]} to {size}, the limit is {limit}: shrink it")
        elif size < listed[key]:
            problems.append(f"{key} shrank to {size}: lower its entry in {RATCHET} from {listed[key]}")
    problems += [
        f"{key} is within its limit or gone: remove its entry from {RATCHET}"
        for key in sorted(listed.keys() - oversized.keys())
    ]
    for before in earlier:
        problems += [
            f"{key} was {'raised' if key in before else 'added'} in {RATCHET}: the list may only shrink"
            for key, size in sorted(listed.items())
            if size > before.get(key, 0)
        ]
    return list(dict.fromkeys(problems))


def earlier_lists(root: Path) -> Iterator[Sizes]:
    """Yield the list as committed earlier; nothing where git, a commit or the file is missing."""
    for commit in EARLIER_COMMITS:
        command = ["git", "show", f"{commit}:{RATCHET.as_posix()}"]
        try:
            shown = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return
        if shown.returncode == 0:
            yield json.loads(shown.stdout)


def main() -> int:
    """Check the repository and return the exit code."""
    listed = json.loads((ROOT / RATCHET).read_text(encoding="utf-8"))
    problems = compare(find_oversized(ROOT), listed, earlier_lists(ROOT))
    for problem in problems:
        print(f"check_sizes: {problem}", file=sys.stderr)
    if not problems:
        print(f"check_sizes: all within limits, {len(listed)} listed exceptions")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
