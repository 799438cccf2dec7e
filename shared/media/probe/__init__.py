"""How long a medium is presented, and how much of it must be read to know."""
