"""`python -m services.probe api|worker`: one role of this feature as a process of its own."""

import sys

from services.probe.feature import FEATURE
from shared.runtime.process import main

if __name__ == "__main__":
    sys.exit(main(FEATURE))
