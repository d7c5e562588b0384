"""The flight record of a call, as an answer: JSON, a ladder in text, Mermaid, SVG or HTML, or a capture file."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from sipcore.errors import Fault
from sipcore.flight.form import to_json as flight_json
from sipcore.flight.forms import FORMS
from sipcore.flight.record import FlightRecord
from sipcore.http.errors import bad_request, json_response, to_json

FORMATS: Final = ("json", *FORMS)
MEDIA_TYPES: Final = tuple(dict.fromkeys(form.media_type for form in FORMS.values()))
_HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_YES_NO: Final = {"true": True, "false": False}


def read_format(request: Request) -> str:
    """The form that is asked for, JSON by default.

    Raises:
        ApiError: there is no such form.
    """
    value = request.query_params.get("format", "json")
    if value not in FORMATS:
        raise bad_request("INVALID_REQUEST", [Fault("format", f"must be one of {', '.join(FORMATS)}")])
    return value


def read_legs(request: Request) -> bool:
    """Whether the calls that were made for it are wanted too.

    Raises:
        ApiError: it is neither `true` nor `false`.
    """
    value = request.query_params.get("legs", "false")
    if value not in _YES_NO:
        raise bad_request("INVALID_REQUEST", [Fault("legs", "must be true or false")])
    return _YES_NO[value]


def trace_response(record: FlightRecord, name: str) -> Response:
    """The record in one of `FORMATS`."""
    form = FORMS.get(name)
    if form is None:
        return json_response(to_json(flight_json(record)), headers=_HEADERS)
    headers = _HEADERS | ({"content-security-policy": form.policy} if form.policy else {})
    if name == "pcap":
        headers |= {"content-disposition": f'attachment; filename="{record.call_id}.pcap"'}
    return Response(form.draw(record), headers=headers, media_type=form.media_type)
