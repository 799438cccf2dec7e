"""What the benches share: peers, servers, meters and tables."""
