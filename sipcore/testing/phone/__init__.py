"""A scriptable telephone for tests and demos: real SIP and RTP over UDP, in pure Python, independent of PJSIP."""

from .audio import Tone
from .call import CallState, PhoneCall, TracedMessage
from .phone import Phone
from .rtp import ReceivedPacket

__all__ = ["CallState", "Phone", "PhoneCall", "ReceivedPacket", "Tone", "TracedMessage"]
