"""Dialogs to be linted, message by message. The caller is we, unless it is said otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sipcore.wire import TracedMessage

US, THEM = "192.0.2.1:5060", "192.0.2.9:5070"
BEGAN_AT = 1_700_000_000.0
CALLER, CALLEE = "caller", "callee"


def sdp(version: int = 1, formats: str = "0 8 101", extra: str = "", port: int = 4000, host: str = "192.0.2.9", streams: str = "") -> str:
    """`host` is in o= too, so that it tells the sides apart."""
    return (
        f"v=0\r\no=- 77 {version} IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio {port} RTP/AVP {formats}\r\n"
        f"a=rtpmap:101 telephone-event/8000\r\n{extra}{streams}"
    )


@dataclass
class Dialog:
    """What both sides say. An empty `contact` or tag leaves it out."""

    call_id: str = "one@x"
    we_called: bool = True
    messages: list[TracedMessage] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=lambda: {CALLER: "c1", CALLEE: "c2"})

    def ask(self, at: float, method: str, cseq: int, side: str = CALLER, *, is_new: bool = False, branch: str = "", **more: str) -> Dialog:
        """A request; with a To tag unless `is_new`."""
        other = CALLEE if side == CALLER else CALLER
        to = "" if is_new else more.pop("to_tag", self.tags[other])
        branch = branch or f"z9hG4bK-{self.call_id}-{side}-{method}-{cseq}"
        return self._add(at, side, f"{method} sip:b@y SIP/2.0", branch, more.pop("from_tag", self.tags[side]), to, f"{cseq} {method}", more)

    def reply(self, at: float, status: str, cseq: str, side: str = CALLEE, *, branch: str = "", **more: str) -> Dialog:
        """An answer of this side to `1 INVITE`."""
        number, method = cseq.split()
        other = CALLEE if side == CALLER else CALLER
        branch = branch or f"z9hG4bK-{self.call_id}-{other}-{method}-{number}"
        to = "" if status.startswith("100") else more.pop("to_tag", self.tags[side])
        return self._add(at, side, f"SIP/2.0 {status}", branch, more.pop("from_tag", self.tags[other]), to, cseq, more)

    def again(self, at: float, index: int = -1) -> Dialog:
        """A message once more."""
        self.messages.append(replace(self.messages[index], time=BEGAN_AT + at))
        return self

    def _add(self, at: float, side: str, start: str, branch: str, from_tag: str, to_tag: str, cseq: str, more: dict[str, str]) -> Dialog:
        body = more.pop("body", "")
        headers = {
            "Via": f"SIP/2.0/UDP h;branch={branch}",
            "From": f"<sip:a@x>{f';tag={from_tag}' if from_tag else ''}",
            "To": f"<sip:b@y>{f';tag={to_tag}' if to_tag else ''}",
            "Call-ID": self.call_id,
            "CSeq": more.pop("sequence", cseq),
            "Contact": more.pop("contact", "<sip:z@h>"),
            "Content-Type": "application/sdp" if body else "",
            "Content-Length": more.pop("length", str(len(body))),
            **{name.replace("_", "-"): value for name, value in more.items()},
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value)
        is_sent = (side == CALLER) == self.we_called
        self.messages.append(TracedMessage(BEGAN_AT + at, is_sent, "udp", US, THEM, f"{start}\r\n{head}\r\n{body}"))
        return self


def ringing(**settings: object) -> Dialog:
    dialog = Dialog(**settings).ask(0, "INVITE", 1, is_new=True, body=sdp(host="192.0.2.1"))
    return dialog.reply(0.01, "100 Trying", "1 INVITE").reply(0.1, "180 Ringing", "1 INVITE")


def answered(**settings: object) -> Dialog:
    return ringing(**settings).reply(1, "200 OK", "1 INVITE", body=sdp()).ask(1.01, "ACK", 1)


def whole(**settings: object) -> Dialog:
    return answered(**settings).ask(5, "BYE", 2).reply(5.01, "200 OK", "2 BYE")


def held() -> Dialog:
    """We put the far end on hold and take it back, it refreshes the session, and it hangs up."""
    dialog = answered()
    dialog.ask(2, "INVITE", 2, body=sdp(2, extra="a=sendonly\r\n", host="192.0.2.1"))
    dialog.reply(2.1, "200 OK", "2 INVITE", body=sdp(2, extra="a=recvonly\r\n")).ask(2.11, "ACK", 2)
    dialog.ask(3, "UPDATE", 3, body=sdp(3, host="192.0.2.1")).reply(3.1, "200 OK", "3 UPDATE", body=sdp(3))
    dialog.ask(4, "INVITE", 1, CALLEE, body=sdp(3)).reply(4.1, "200 OK", "1 INVITE", CALLER, body=sdp(3, host="192.0.2.1"))
    dialog.ask(4.2, "ACK", 1, CALLEE)
    return dialog.ask(5, "BYE", 2, CALLEE).reply(5.01, "200 OK", "2 BYE", CALLER)


def cancelled() -> Dialog:
    dialog = ringing().ask(2, "CANCEL", 1, is_new=True, branch="z9hG4bK-one@x-caller-INVITE-1")
    dialog.reply(2.01, "200 OK", "1 CANCEL", branch="z9hG4bK-one@x-caller-INVITE-1").reply(2.02, "487 Terminated", "1 INVITE")
    return dialog.ask(2.03, "ACK", 1, branch="z9hG4bK-one@x-caller-INVITE-1")


def challenged() -> Dialog:
    branch = "z9hG4bK-one@x-caller-INVITE-1"
    dialog = Dialog().ask(0, "INVITE", 1, is_new=True, body=sdp(host="192.0.2.1"))
    dialog.reply(0.1, "401 Unauthorized", "1 INVITE", to_tag="other").ask(0.11, "ACK", 1, to_tag="other", branch=branch)
    dialog.ask(0.12, "INVITE", 2, is_new=True, body=sdp(host="192.0.2.1")).reply(0.3, "200 OK", "2 INVITE", body=sdp()).ask(0.31, "ACK", 2)
    return dialog.ask(5, "BYE", 3).reply(5.01, "200 OK", "3 BYE")


def transferred() -> Dialog:
    """A REFER, and the NOTIFY of it that comes after the BYE (RFC 5057)."""
    dialog = answered().ask(2, "REFER", 2, Refer_To="<sip:c@z>").reply(2.1, "202 Accepted", "2 REFER")
    dialog.ask(2.2, "NOTIFY", 1, CALLEE).reply(2.21, "200 OK", "1 NOTIFY", CALLER)
    dialog.ask(5, "BYE", 3).reply(5.01, "200 OK", "3 BYE")
    return dialog.ask(7, "NOTIFY", 2, CALLEE).reply(7.1, "200 OK", "2 NOTIFY", CALLER)


def lossy() -> Dialog:
    """Our INVITE is sent three times, its answer twice, our BYE twice."""
    dialog = Dialog().ask(0, "INVITE", 1, is_new=True, body=sdp(host="192.0.2.1")).again(0.5).again(1.5)
    dialog.reply(1.6, "200 OK", "1 INVITE", body=sdp()).ask(1.61, "ACK", 1).again(2.1, 3).again(2.11, 4)
    return dialog.ask(5, "BYE", 2).again(5.5).reply(5.51, "200 OK", "2 BYE")


def late_offer() -> Dialog:
    dialog = Dialog().ask(0, "INVITE", 1, is_new=True).reply(0.1, "200 OK", "1 INVITE", body=sdp())
    return dialog.ask(0.2, "ACK", 1, body=sdp(formats="8", host="192.0.2.1")).ask(5, "BYE", 2).reply(5.1, "200 OK", "2 BYE")


def crossed() -> Dialog:
    """Both hang up at the same time."""
    dialog = answered().ask(5, "BYE", 2).ask(5.001, "BYE", 1, CALLEE)
    return dialog.reply(5.1, "200 OK", "2 BYE").reply(5.1, "200 OK", "1 BYE", CALLER)


CLEAN = {function.__name__: function for function in (ringing, whole, held, cancelled, challenged, transferred, lossy, late_offer, crossed)}
