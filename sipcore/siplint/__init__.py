"""SIP lint: whether a traced dialog keeps the rules that every dialog keeps.

    for finding in lint(switch.calls.trace(call.id)):
        print(finding)

It judges both sides: `Finding.is_ours` tells whose fault it is. It has no opinion where a message was lost or is yet to come; `until` and
`patience_s` say how long it may take. `docs/testing.md` has the table of rules.
"""

from sipcore.siplint.finding import RULES, Finding, Rule
from sipcore.siplint.linting import DEFAULT_PATIENCE_S, lint, lint_flight
from sipcore.siplint.media import MediaPacket

__all__ = ["DEFAULT_PATIENCE_S", "RULES", "Finding", "MediaPacket", "Rule", "lint", "lint_flight"]
