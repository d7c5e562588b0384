"""Rooms of calls that hear each other: the record, the register of all of them, the room itself, and what users get."""
