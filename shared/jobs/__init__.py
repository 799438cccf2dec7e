"""One ledger and one runner carry every kind of job through its life."""
