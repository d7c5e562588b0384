"""The switch over HTTP: `sipcore serve --http`. Parse, ask the switch, render; nothing is decided here. See `docs/http.md`.

Needs the extra `sipcore[http]` (Starlette, uvicorn, PyJWT, prometheus-client).
"""
