"""A phone on PJSIP as it is, with its defaults: it answers, takes REFER, and knows Replaces (RFC 3891). A program of its own.

    python pjsip_phone.py HZ FILE

Says a tone, writes what it hears, and ends with its input. It prints its port, then each state of each call, beside what PJSIP
itself prints.
"""
# ruff: noqa: N802 - PJSIP's names of callbacks

from __future__ import annotations

import select
import sys
from typing import Any

import pjsua2 as pj


class Call(pj.Call):  # type: ignore[misc]
    """One of its calls."""

    def __init__(self, phone: Phone, *pjsip_id: int) -> None:
        super().__init__(phone, *pjsip_id)
        self._phone = phone
        phone.calls.append(self)

    def onCallState(self, prm: Any) -> None:
        info = self.getInfo()
        print(info.stateText, flush=True)
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self._phone.calls.remove(self)

    def onCallMediaState(self, prm: Any) -> None:
        audio = self.getAudioMedia(-1)
        self._phone.tone.startTransmit(audio)
        audio.startTransmit(self._phone.recorder)

    def onCallTransferRequest(self, prm: Any) -> None:
        prm.newCall = Call(self._phone)

    def onCallReplaced(self, prm: Any) -> None:
        prm.newCall = Call(self._phone, prm.newCallId)


class Phone(pj.Account):  # type: ignore[misc]
    """Its account; everybody may call."""

    def __init__(self, port: int, hz: int, file: str) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.tone, self.recorder = _tone(hz), pj.AudioMediaRecorder()
        self.recorder.createRecorder(file)
        settings = pj.AccountConfig()
        settings.idUri = f"sip:phone@127.0.0.1:{port}"
        transport = settings.mediaConfig.transportConfig
        transport.boundAddress = transport.publicAddress = "127.0.0.1"
        self.create(settings)

    def onIncomingCall(self, prm: Any) -> None:
        answer = pj.CallOpParam()
        answer.statusCode = 200
        Call(self, prm.callId).answer(answer)


def _tone(hz: int) -> Any:
    description, descriptions = pj.ToneDesc(), pj.ToneDescVector()
    description.freq1, description.on_msec, description.off_msec = hz, 1000, 0
    descriptions.append(description)
    tone = pj.ToneGenerator()
    tone.createToneGenerator(8000)
    tone.play(descriptions, True)
    return tone


def _started(endpoint: Any) -> int:
    """The port of the endpoint, which runs."""
    endpoint.libCreate()
    config, transport = pj.EpConfig(), pj.TransportConfig()
    config.uaConfig.threadCnt, config.uaConfig.mainThreadOnly = 0, True
    config.logConfig.level = config.logConfig.consoleLevel = 0
    config.medConfig.clockRate, config.medConfig.ecTailLen, config.medConfig.sndAutoCloseTime = 8000, 0, -1
    endpoint.libInit(config)
    transport.boundAddress = transport.publicAddress = "127.0.0.1"
    bound = endpoint.transportGetInfo(endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)).localName
    endpoint.libStart()
    endpoint.audDevManager().setNullDev()
    for codec in endpoint.codecEnum2():
        endpoint.codecSetPriority(codec.codecId, 255 if codec.codecId.startswith("PCMU") else 0)  # others make other tones of a tone
    return int(bound.rpartition(":")[2])


def main() -> None:
    endpoint = pj.Endpoint()
    port = _started(endpoint)
    phone = Phone(port, int(sys.argv[1]), sys.argv[2])
    print("port", port, flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        endpoint.libHandleEvents(20)
    endpoint.hangupAllCalls()
    while phone.calls:
        endpoint.libHandleEvents(20)
    phone.tone = phone.recorder = None
    phone.shutdown()
    endpoint.libDestroy()


if __name__ == "__main__":
    main()
