"""Mutated media against every kind of job: `python -m tests.fuzz`, or `make fuzz`."""
