"""Why an action cannot be carried out. Stays inside: outside it is `ActionFailed`."""

from __future__ import annotations

from sipcore.errors import SipcoreError


class Refused(SipcoreError):
    """The action cannot be carried out; the text says why."""


class NobodyAnswered(Refused):
    """A `connect` that connected nobody."""
