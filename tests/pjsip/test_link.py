from __future__ import annotations

import socket

from sipcore import engine, wire
from sipcore.pjsip.link import ControlLink


def test_no_message_is_lost_for_its_text():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ControlLink(ours, 0).send(engine.EngineFault("c", "Gr\udcfc\udcdf"))
        assert wire.FrameDecoder().feed(theirs.recv(4096)) == [engine.EngineFault("c", "Gr\ufffd\ufffd")]
