"""`python -m lastframe_client` is `lastframe`."""

import sys

from lastframe_client.cli import main

if __name__ == "__main__":
    sys.exit(main())
