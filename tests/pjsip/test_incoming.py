"""What comes from outside while a call is up: refused, and the worker lives on."""

from __future__ import annotations

import asyncio
import os
import signal
import socket

import pytest

from sipcore import engine

SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"


class Stranger:
    """One dialog from a plain UDP socket to a worker."""

    def __init__(self, sip_port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self._target = ("127.0.0.1", sip_port)

    def send(self, method: str, body: str = "") -> None:
        port = self._socket.getsockname()[1]
        lines = [
            f"{method} sip:you@127.0.0.1:{self._target[1]} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bKstranger{port}",
            "Max-Forwards: 70",
            "From: <sip:stranger@127.0.0.1>;tag=s",
            "To: <sip:you@127.0.0.1>",
            f"Call-ID: stranger-{port}",
            f"CSeq: 1 {method}",
            f"Contact: <sip:stranger@127.0.0.1:{port}>",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        self._socket.sendto("\r\n".join([*lines, "", body]).encode(), self._target)

    async def final_answer(self) -> int:
        """To the INVITE; an ACK follows it."""
        async with asyncio.timeout(5):
            while True:
                answer = (await asyncio.get_running_loop().sock_recv(self._socket, 65536)).decode()
                if "CSeq: 1 INVITE" in answer and (code := int(answer.split()[1])) >= 200:
                    self.send("ACK")
                    return code

    def close(self) -> None:
        self._socket.close()


async def the_call_goes_on(line, far_end, pid):
    assert [worker.pid for worker in line.pool.workers()] == [pid]
    assert line.pool.workers_lost == 0
    assert not line.of(engine.CallDisconnected, "c")
    packets = len(far_end.rtp.payloads)
    await line.until(lambda: len(far_end.rtp.payloads) > packets + 5)
    line.hang_up("c")
    assert (await line.got(engine.CallDisconnected, "c")).sip_code == 200


async def a_call(line, far_end):
    line.dial("c", far_end.uri("ok"))
    await line.got(engine.MediaStarted, "c")
    await line.got(engine.CallConfirmed, "c")
    (worker,) = line.pool.workers()
    return worker


@pytest.mark.parametrize("body", ["", SDP], ids=["no SDP", "SDP"])
async def test_an_incoming_call_is_refused(line, far_end, body):
    worker = await a_call(line, far_end)
    for _ in range(6):  # more than a worker has slots
        stranger = Stranger(worker.sip_port)
        stranger.send("INVITE", body)
        assert await stranger.final_answer() == 404
        stranger.close()
    await the_call_goes_on(line, far_end, worker.pid)


@pytest.mark.parametrize("body", ["", SDP], ids=["no SDP", "SDP"])
async def test_a_cancel_may_come_before_the_refusal(line, far_end, body):
    worker = await a_call(line, far_end)
    stranger = Stranger(worker.sip_port)
    os.kill(worker.pid, signal.SIGSTOP)  # so that it finds both at once
    stranger.send("INVITE", body)
    stranger.send("CANCEL")
    os.kill(worker.pid, signal.SIGCONT)
    assert await stranger.final_answer() in (404, 487)
    stranger.close()
    await the_call_goes_on(line, far_end, worker.pid)
