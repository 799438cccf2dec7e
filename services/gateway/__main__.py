"""`python -m services.gateway`: tasks, server and site as a process of its own."""

import sys

from services.gateway.feature import gateway_feature
from shared.runtime.process import main

if __name__ == "__main__":
    sys.exit(main(lambda settings, backends: gateway_feature(settings, backends, None)[0]))
