"""Writes docs/actions.md from the action classes: run it after a change of one of them.

python docs/make_actions.py
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from sipcore.actions import ACTION_TYPES, Action, json_schema
from sipcore.addresses import Address

PAGE = Path(__file__).parent / "actions.md"

INTRODUCTION = """# Actions

What a call does is a list of actions. In Python they are values, `Talk("hello", id="greeting")`; in JSON each is an object:

```json
{"type": "talk", "option": {"text": "hello", "language": "en-US"}, "id": "greeting"}
```

Names of options are the same in both. `id` is yours, at most 64 letters, digits and `_ . : -`, once in a list: for `goto` and its like,
and for finding the action in events. A list has at most 100 actions and is checked as a whole before the call is placed; every fault is
told at once, with its path (`actions[2].option.text`). The same as JSON Schema: `sipcore.actions.json_schema()`, or `GET
/v1.0/schema/actions`. VoIPBin's names of options are understood where they differ; they stand in brackets below.

An outgoing call starts its list at the answer, a call from outside at once. An action that fails is told in `ActionFinished` and the list
goes on with the next. After the last one the call is hung up, or refused when it was never answered.

This page is made by `docs/make_actions.py`.

## Order

`goto`, `branch`, `condition_variable` and `condition_datetime` go on with the action of an `id`. Only `goto` may lead back, because it
counts: a list in which anything else leads back is refused. So a menu that is said again is `... branch(default_target_id="again") ...,
goto("menu", loop_count=3, id="again")`. The times of a `goto` are counted for the whole call. A call carries out at most 1,000 actions
(`[flow] max_steps`), then it ends as `failed`.

`fetch` asks a web server for actions, which come before the next one. Their ids are their own; a jump looks for its target in the
innermost list first, and then in those it was fetched from.

## Variables

`${name}` stands for a variable in every option that is text: addresses, files, URLs, headers, SIP phrases, not in `id` and in options
with fixed values. It is replaced when the action starts, and the action is checked again then: one that its values make wrong fails. A
variable that is not set is empty. What stands in a value is not replaced again. `$${name}` is the text `${name}`. In a text that begins
with `http://` or `https://` values are percent-encoded, in JSON that `webhook_send` sends they are escaped.

| | |
|---|---|
| `${call.id}`, `${call.direction}`, `${call.status}` | as in the record of the call |
| `${call.source}`, `${call.destination}` | the number, or `user@host`; also `.target`, `.type`, `.name` |
| `${call.master_call_id}` | of a leg of a `connect`, the call it was made for |
| `${digits}` | the keys that `digits_receive` took last |
| `${recording.id}` | the recording that was started last |
| `${conference.id}`, `${conference.name}`, `${conference.left_by}` | the conference that was joined last, and why the call has left it |
| yours | `variable_set`; `variables` of `POST /v1.0/calls` and `calls.create`; `call.set_variable(name, value)` |

VoIPBin's names are the same with `voipbin.` in front, `${voipbin.call.digits}` is `${digits}`. Names are a letter, then letters, digits
and `. _ -`. Users set at most 100 variables of 32 KB, 64 KB in all (`[flow]` of the configuration). The legs of a `connect` have
variables of their own.

`switch.plan(actions)` checks a list as `create` does, makes its audio ready, and says how many legs it needs and how long its prompts
are. `sipcore plan FILE` does so on the command line, for a list or a whole request in JSON or TOML, and needs no running switch.
"""


def page() -> str:
    """The whole page."""
    schema = json_schema()
    options = {variant["properties"]["type"]["const"]: variant["properties"]["option"] for variant in schema["items"]["oneOf"]}
    contents = ", ".join(f"[`{name}`](#{name})" for name in sorted(ACTION_TYPES))
    parts = [INTRODUCTION, f"## All actions\n\n{contents}\n"]
    parts += [_section(name, ACTION_TYPES[name], options[name], schema["$defs"]) for name in sorted(ACTION_TYPES)]
    return "\n".join(parts)


def _section(name: str, action: type[Action], option: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    text, meanings = _read_docstring(action)
    lines = [f"### {name}", "", f"`{action.__name__}`. {text}", ""]
    rows = [_row(action, f, option["properties"][f.name], definitions, meanings) for f in fields(action) if f.name != "id"]
    return "\n".join([*lines, "| option | | default | |", "|---|---|---|---|", *rows, ""] if rows else lines)


def _row(action: type[Action], f: Any, schema: Mapping[str, Any], definitions: Mapping[str, Any], meanings: Mapping[str, str]) -> str:
    others = [other for other, ours in action.aliases.items() if ours == f.name]
    name = f"`{f.name}`" + (f" ({', '.join(others)})" if others else "")
    return f"| {name} | {_kind(schema, definitions)} | {_default(f)} | {meanings[f.name].replace('|', chr(92) + '|')} |"


def _default(f: Any) -> str:
    value = f.default if f.default_factory is MISSING else f.default_factory()
    if value is MISSING:
        return "required"
    if value is None or value in ("", (), {}):
        return ""
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value}`"


def _kind(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """The type of an option in words."""
    match schema:
        case {"$ref": reference}:
            name = reference.rpartition("/")[2]
            return "address" if name == Address.__name__ else "object"
        case {"anyOf": variants}:
            kinds = dict.fromkeys(_kind(variant, definitions) for variant in variants if variant.get("type") != "null")
            return "address" if "address" in kinds else " or ".join(kinds)
        case {"enum": values}:
            return " \\| ".join(f"`{value}`" for value in values)
        case {"const": value}:
            return f"`{value}`"
        case {"type": "array", "items": items}:
            return f"list of {_kind(items, definitions)}{_range(schema)}"
        case {"type": "object"}:
            return "object"
        case {"type": "string"}:
            return "text"
        case {"type": "integer" | "number"}:
            kind = "integer" if schema["type"] == "integer" else "number"
            return kind + _range(schema)
        case {"type": "boolean"}:
            return "`true` \\| `false`"
    return "any"


def _range(schema: Mapping[str, Any]) -> str:
    words = {
        "minimum": "from",
        "minItems": "from",
        "exclusiveMinimum": "over",
        "maximum": "to",
        "maxItems": "to",
        "exclusiveMaximum": "under",
    }
    bounds = [f"{word} {schema[key]:,}" for key, word in words.items() if key in schema]
    return f", {' '.join(bounds)}" if bounds else ""


def _read_docstring(action: type[Action]) -> tuple[str, dict[str, str]]:
    """The text without its section of attributes, and what that says of each."""
    text, _, attributes = (inspect.getdoc(action) or "").partition("Attributes:")
    found = re.findall(r"^    (\w+): (.*(?:\n     +.*)*)", attributes, re.MULTILINE)
    return _joined(text), {name: _joined(meaning) for name, meaning in found}


def _joined(text: str) -> str:
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n")]
    return "\n\n".join(paragraphs)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
