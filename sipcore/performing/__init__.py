"""How each action is carried out: one function per action, found in `table.py`."""
