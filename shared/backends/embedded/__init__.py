"""The product on one machine with nothing else installed: same ports, same contract suite as the servers'."""
