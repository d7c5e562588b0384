"""The SIP messages of a call, as an answer: JSON, a ladder diagram, or a capture file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from sipcore.errors import Fault
from sipcore.http.errors import bad_request, json_response, to_json
from sipcore.ladder import draw_ladder
from sipcore.pcap import make_pcap
from sipcore.record import format_time
from sipcore.wire import TracedMessage

FORMATS: Final = ("json", "text", "pcap")
PCAP_TYPE: Final = "application/vnd.tcpdump.pcap"
_HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def read_format(request: Request) -> str:
    """The form that is asked for, JSON by default.

    Raises:
        ApiError: there is no such form.
    """
    value = request.query_params.get("format", "json")
    if value not in FORMATS:
        raise bad_request("INVALID_REQUEST", [Fault("format", f"must be one of {', '.join(FORMATS)}")])
    return value


def trace_response(messages: Sequence[TracedMessage], form: str, call_id: str) -> Response:
    """The messages in one of `FORMATS`."""
    match form:
        case "text":
            return Response(draw_ladder(messages), headers=_HEADERS, media_type="text/plain")
        case "pcap":
            named = {"content-disposition": f'attachment; filename="{call_id}.pcap"'}
            return Response(make_pcap(messages), headers=_HEADERS | named, media_type=PCAP_TYPE)
        case _:
            return json_response(to_json({"result": [_shown(message) for message in messages]}), headers=_HEADERS)


def _shown(message: TracedMessage) -> dict[str, Any]:
    return {
        "at": format_time(datetime.fromtimestamp(message.time, UTC)),
        "is_sent": message.is_sent,
        "transport": message.transport,
        "local": message.local,
        "remote": message.remote,
        "text": message.text,
        "missing": message.missing,
    }
