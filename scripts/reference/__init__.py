"""The reference pages of the documentation, made from what the code itself says. `python -m scripts.reference`."""
