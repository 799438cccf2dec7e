"""The fork server's own process; `server.ForkServerHandle` starts it."""

from shared.jobs.child.forkserver import main

main()
