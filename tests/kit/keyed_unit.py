"""A unit that only says what it was told on its standard input, where it could be seen, and waits.

``python -m tests.kit.keyed_unit --config FILE [--introduced | --key-on-input]``. With a key the ready line
has ``told``, and ``seen``: whether it is in environment or command line. One that is introduced writes
process and key of the last desk it was told of into its file.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from runtime.gateway_door import Introductions
from runtime.seals import read_key


def main() -> int:
    if "--key-on-input" in sys.argv:
        told = read_key()
        open_text = json.dumps(dict(os.environ)) + " ".join(sys.argv)
        seen = told.hex() in open_text or repr(told) in open_text
        print(json.dumps({"ready": True, "told": told.hex(), "seen": seen}), flush=True)
    elif "--introduced" in sys.argv:
        introductions = Introductions()
        print(json.dumps({"ready": True}), flush=True)
        told_to = Path(sys.argv[sys.argv.index("--config") + 1])
        while os.getppid() > 1:
            if (desk := introductions.last()) is not None:
                new = Path(f"{told_to}.new")  # whoever reads it meanwhile finds it whole
                new.write_text(json.dumps([desk.pid, desk.key]))
                new.replace(told_to)
            time.sleep(0.01)
    time.sleep(60)
    return 0


if __name__ == "__main__":
    sys.exit(main())
