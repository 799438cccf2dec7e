"""`python -m services.frames api|worker`: one role of this feature as a process of its own."""

import sys

from services.frames.feature import FEATURE
from shared.runtime.process import main

if __name__ == "__main__":
    sys.exit(main(FEATURE))
