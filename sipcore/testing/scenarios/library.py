"""The scenarios that come with sipcore, by name."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Final

from sipcore.errors import Fault, InvalidRequest
from sipcore.testing.scenarios.callees import CALLEES
from sipcore.testing.scenarios.callers import CALLERS
from sipcore.testing.scenarios.scenario import Scenario
from sipcore.testing.scenarios.sippxml import make_xml

LIBRARY: Final[dict[str, Scenario]] = {scenario.name: scenario for scenario in (*CALLERS, *CALLEES)}


def find_scenario(name: str) -> Scenario:
    """The scenario of this name, with or without `.xml`.

    Raises:
        InvalidRequest: there is none; names the nearest.
    """
    scenario = LIBRARY.get(name.removesuffix(".xml"))
    if scenario is None:
        near = get_close_matches(name.removesuffix(".xml"), LIBRARY, 3, 0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "`sipcore scenario list` shows them"
        raise InvalidRequest([Fault(name, f"is no scenario of the library; {hint}")])
    return scenario


def write_scenario(scenario: str | Scenario, folder: str | Path, /, **values: object) -> Path:
    """Write a scenario, or one of the library by name, as `name.xml`; the file. `values` are those of its variables.

    Raises:
        InvalidRequest: there is no such scenario or variable, its description is faulty, or the folder cannot be written.
    """
    described = scenario if isinstance(scenario, Scenario) else find_scenario(scenario)
    text = make_xml(described, values)
    path = Path(folder) / f"{described.name}.xml"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidRequest([Fault(str(path), f"cannot be written: {error.strerror or error}")]) from None
    return path
