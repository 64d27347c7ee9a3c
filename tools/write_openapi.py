"""Write docs/openapi.json anew from the application: ``python -m tools.write_openapi``.

Not here: the document's content (`api.document`). Read the difference before you commit it: within v1 things
are only added.
"""

from __future__ import annotations

import sys

from api.app import create_app
from api.document import FILE, text


def main() -> int:
    """Write the document."""
    FILE.write_text(text(create_app(None)), encoding="utf-8")
    sys.stdout.write(f"{FILE}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
