"""Rooms that every feature shares; see ARCHITECTURE.md for the one direction of imports."""
