"""`python child.py run ...`: the command `fedsec`, ended when the other end of its stdin is closed."""

from __future__ import annotations

import os
import sys
from threading import Thread

from fedsec_core.cli import main


def _end_with_the_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    Thread(target=_end_with_the_parent, daemon=True).start()
    main()
