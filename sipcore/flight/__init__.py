"""The flight recorder: what happened to a call, second by second, and pictures of it.

`record.py` has the values, `log.py` keeps them within limits, the others draw them: `text.py`, `mermaid.py`, `svg.py`, `page.py`.
"""
