"""`/docs`: the OpenAPI document as one page that needs nothing from elsewhere, not even a script."""

from __future__ import annotations

import html
import json
from typing import Any, Final

_METHODS: Final = ("get", "post", "put", "delete")
_STYLE: Final = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h2{margin-top:2.5rem;border-bottom:1px solid #d0d7de}code,pre{font:14px/1.45 ui-monospace,monospace}
pre{background:#f4f6f8;padding:.8rem;overflow-x:auto;border-radius:6px}table{border-collapse:collapse;margin:.5rem 0;width:100%}
td,th{border:1px solid #d0d7de;padding:.3rem .6rem;text-align:left;vertical-align:top}
.m{display:inline-block;min-width:4.2rem;font-weight:700;text-transform:uppercase}details{margin:.5rem 0}summary{cursor:pointer}
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}pre{background:#161b22}td,th,h2{border-color:#30363d}a{color:#79b8ff}}
"""
_EXAMPLE: Final = """curl --request POST '{url}/v1.0/calls?token=TOKEN' \\
    --header 'Content-Type: application/json' \\
    --data-raw '{{
        "source": {{"type": "tel", "target": "+821028286521"}},
        "destination": {{"type": "tel", "target": "+821021656521"}},
        "actions": [{{"type": "talk", "option": {{"text": "hello.", "gender": "female", "language": "en-US"}}}}]
    }}'"""


def page(document: dict[str, Any], url: str) -> str:
    """The page, HTML; `url` stands in its example."""
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>sipcore</title><style>{_STYLE}</style>',
        f"<h1>sipcore {html.escape(document['info']['version'])}</h1><p>{html.escape(document['info']['description'])}</p>",
        '<p>As a document: <a href="/openapi.json">OpenAPI 3.1</a>, <a href="/v1.0/schema/actions">JSON Schema of the actions</a>.</p>',
        "<p>A token goes into <code>?token=</code>, the cookie <code>token</code>, or <code>Authorization: Bearer</code>.</p>",
        f"<pre>{html.escape(_EXAMPLE.format(url=url))}</pre>",
    ]
    for path, item in document["paths"].items():
        parts += [_operation(path, method, item[method], item.get("parameters", [])) for method in _METHODS if method in item]
    parts.append("<h2>Objects</h2>")
    parts += [_schema(name, schema) for name, schema in document["components"]["schemas"].items()]
    return "\n".join(parts)


def _operation(path: str, method: str, operation: dict[str, Any], shared: list[dict[str, Any]]) -> str:
    rows = [
        f"<tr><td><code>{html.escape(given['name'])}</code><td>{given['in']}<td>{html.escape(given.get('description', ''))}"
        for given in [*shared, *operation.get("parameters", [])]
    ]
    answers = [
        f"<tr><td>{code}<td>{html.escape(answer['description'])}<td>{_links(answer)}" for code, answer in operation["responses"].items()
    ]
    table = f"<table><tr><th>Parameter<th>Place<th>Meaning{''.join(rows)}</table>" if rows else ""
    body = f"<p>Body: {_links(operation['requestBody'])}</p>" if "requestBody" in operation else ""
    heading = f'<h2><span class="m">{method}</span> <code>{html.escape(path)}</code></h2>'
    results = f"<table><tr><th>Answer<th>Meaning<th>Shape{''.join(answers)}</table>"
    return f"{heading}<p>{html.escape(operation['summary'])}.</p>{table}{body}{results}"


def _links(value: Any) -> str:
    names = dict.fromkeys(_references(value))
    return ", ".join(f'<a href="#{name}">{name}</a>' for name in names)


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        found = [value["$ref"].rpartition("/")[2]] if "$ref" in value else []
        return found + [name for inner in value.values() for name in _references(inner)]
    return [name for inner in value for name in _references(inner)] if isinstance(value, list) else []


def _schema(name: str, schema: dict[str, Any]) -> str:
    shown = html.escape(json.dumps(schema, indent=2, ensure_ascii=False))
    return f'<details id="{name}" open><summary><b>{name}</b></summary><pre>{shown}</pre></details>'
