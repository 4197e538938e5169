"""`python -m nuki_bridge`, the same as `nuki-bridge`."""

import sys

from nuki_bridge.command_line.start import main

if __name__ == "__main__":
    sys.exit(main())
