"""The Python test kit."""
