"""The three request bodies of the call tutorial, and what it answers: data of our own, so that the tests need nothing else."""

_TALK = {
    "type": "talk",
    "option": {
        "text": "hello. welcome to voipbin. This is test message. This audio file is generated dynamically by the tts module. "
        "Please enjoy the voipbin service. Thank you. Bye",
        "gender": "female",
        "language": "en-US",
    },
}
_PLAY_URL = "https://github.com/pchero/asterisk-medias/raw/master/samples_codec/pcm_samples/example-mono_16bit_8khz_pcm.wav"

TALK_BODY = {
    "source": {"type": "tel", "target": "+821028286521"},
    "destination": {"type": "tel", "target": "+821021656521"},
    "actions": [_TALK],
}

PLAY_BODY = {
    "source": {"type": "tel", "target": "+821028286521"},
    "destination": {"type": "tel", "target": "+821021656521"},
    "actions": [{"type": "play", "option": {"stream_urls": [_PLAY_URL]}}],
}

CONNECT_BODY = {
    "source": {"type": "tel", "target": "+821021656521"},
    "destination": {"type": "tel", "target": "+821021656521"},
    "actions": [
        _TALK,
        {
            "type": "connect",
            "option": {
                "source": {"type": "tel", "target": "+821021656521"},
                "destinations": [{"type": "tel", "target": "+821043126521"}],
            },
        },
    ],
}

BODIES = {"talk": TALK_BODY, "play": PLAY_BODY, "connect": CONNECT_BODY}

FRESH_CALL = {
    "id": "a023bfa8-1091-4e94-8eaa-7f01fbecc71a",
    "user_id": 1,
    "flow_id": "f089791a-ac78-4ea0-be88-8a8e131f9fc5",
    "conf_id": "00000000-0000-0000-0000-000000000000",
    "type": "flow",
    "master_call_id": "00000000-0000-0000-0000-000000000000",
    "chained_call_ids": [],
    "recording_id": "00000000-0000-0000-0000-000000000000",
    "recording_ids": [],
    "source": {"type": "tel", "target": "+821028286521", "name": ""},
    "destination": {"type": "tel", "target": "+821021656521", "name": ""},
    "status": "dialing",
    "direction": "outgoing",
    "hangup_by": "",
    "hangup_reason": "",
    "tm_create": "2021-02-04 04:44:20.904662",
    "tm_update": "",
    "tm_progressing": "",
    "tm_ringing": "",
    "tm_hangup": "",
}
