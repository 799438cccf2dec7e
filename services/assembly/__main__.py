"""`python -m services.assembly api|worker`: one role of this feature as a process of its own."""

import sys

from services.assembly.feature import FEATURE
from shared.runtime.process import main

if __name__ == "__main__":
    sys.exit(main(FEATURE))
