"""Sounds joined to the sample, and music laid under a video."""
