"""Calls from Django views, a synchronous one and an asynchronous one. The whole project is this file.

Serve it:     SIP_ADDRESS=0.0.0.0:0 python examples/django_view.py runserver    and: curl -d to=sip:you@192.0.2.10 localhost:8000/announce
or just look: python examples/django_view.py                                   (a far end on this machine answers)

Every process has a switch of its own, opened by the first view that needs one: that is after gunicorn has forked its workers.
"""

import asyncio
import functools
import os
import sys

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, JsonResponse
from django.test import AsyncClient, Client
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from sipcore import CallRecord, InvalidRequest, Switch, Talk
from sipcore.testing.phone import Phone

settings.configure(DEBUG=True, SECRET_KEY="only for this example", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
PARCEL = Talk("Your parcel is at the door.")


@functools.cache
def switch() -> Switch:
    opened = Switch(sip_address=os.environ.get("SIP_ADDRESS", "127.0.0.1:0"))
    opened.open()  # closed when the process ends
    return opened


@csrf_exempt
@require_POST
def announce(request: HttpRequest) -> JsonResponse:
    """Place a call and answer at once; `status` tells the rest."""
    try:
        call = switch().calls.create(destination=request.POST.get("to", ""), actions=[PARCEL])
    except InvalidRequest as error:
        return JsonResponse({"faults": [str(fault) for fault in error.faults]}, status=400)
    return JsonResponse({"id": call.id}, status=202)


def status(_: HttpRequest, call_id: str) -> JsonResponse:
    return JsonResponse(shown(switch().calls.get(call_id)))


@csrf_exempt
async def announce_and_wait(request: HttpRequest) -> JsonResponse:
    """Place a call and wait for its end, while the event loop serves others."""
    call = await asyncio.to_thread(switch().calls.create, destination=request.POST.get("to", ""), actions=[PARCEL])
    return JsonResponse(shown(await asyncio.to_thread(call.wait, 120)))


def shown(record: CallRecord) -> dict[str, object]:
    return {"status": record.status, "reason": str(record.hangup_reason), "code": record.sip_code}


urlpatterns = [
    path("announce", announce),
    path("announce-and-wait", announce_and_wait),
    path("calls/<str:call_id>", status),
]


def try_it() -> int:
    with Phone(name="bob") as phone:
        placed = Client().post("/announce", {"to": phone.uri}).json()
        waited = asyncio.run(AsyncClient().post("/announce-and-wait", {"to": phone.uri})).json()
        print("waited:", waited)
        print("placed:", Client().get(f"/calls/{placed['id']}").json())
        switch().close()
    return 0 if waited["code"] == 200 else 1


if __name__ == "__main__":
    django.setup()
    if len(sys.argv) > 1:
        execute_from_command_line(sys.argv)
    else:
        sys.exit(try_it())
