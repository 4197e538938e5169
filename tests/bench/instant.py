"""`nuki-bridge` whose virtual locks are heard and answer at once: what is left is what the program itself takes.

python -m tests.bench.instant run --config FILE
"""

from __future__ import annotations

import sys

from nuki_bridge.command_line.start import main
from nuki_bridge.simulator import backend

if __name__ == "__main__":
    backend.LATENCY_S = 0.0
    sys.exit(main())
