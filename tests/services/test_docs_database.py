"""The example of docs/database.md is run as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.postgres import EmbeddedServer, default_folder
from tests.kit.database import discard_folder

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(180)
def test_example_runs_and_the_restored_home_says_the_same(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "database.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PARLEY_") and k != "DATABASE_URL"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    try:
        done = subprocess.run(
            ["bash", "-eu", "-c", example], capture_output=True, text=True, check=False, cwd=ROOT,
            env=kept | {"TMPDIR": str(tmp_path), "PATH": path, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip

        assert done.returncode == 0, done.stderr
        said = re.findall(r"^(?:hold|accept|reject|expired|void) \d+$", done.stdout, flags=re.MULTILINE)
        assert said
        assert said[: len(said) // 2] == said[len(said) // 2 :]
        assert "restored: 2 journals" in done.stdout
    finally:
        for home in tmp_path.glob("*/home*"):
            discard_folder(EmbeddedServer(default_folder(home)))
