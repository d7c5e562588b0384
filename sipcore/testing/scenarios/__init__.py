"""Scenarios for SIPp, described in Python and written as its XML: nobody has to edit XML by hand.

from sipcore.testing.scenarios import LIBRARY, Scenario, pause, receive, send, write_scenario

write_scenario("uas-busy", "build")                      # one of the library
mine = Scenario("uac-mine", "...", (send("INVITE", sdp="sendrecv"), receive(200), send("ACK"), send("BYE"), receive(200)))
write_scenario(mine, "build", from_user="alice")
"""

from sipcore.testing.scenarios.checking import faults_of
from sipcore.testing.scenarios.library import LIBRARY, find_scenario, write_scenario
from sipcore.testing.scenarios.scenario import COMMON, Scenario, Variable
from sipcore.testing.scenarios.sippxml import make_xml
from sipcore.testing.scenarios.steps import Jump, Label, Match, Pause, PlayDigits, PlayFile, Receive, Send, pause, receive, send

__all__ = [
    "COMMON",
    "LIBRARY",
    "Jump",
    "Label",
    "Match",
    "Pause",
    "PlayDigits",
    "PlayFile",
    "Receive",
    "Scenario",
    "Send",
    "Variable",
    "faults_of",
    "find_scenario",
    "make_xml",
    "pause",
    "receive",
    "send",
    "write_scenario",
]
