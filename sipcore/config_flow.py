"""The `[flow]` table of the configuration: what the action list of one call may take."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sipcore.actions import MAX_ACTIONS, MAX_LOOPS
from sipcore.actions.calling import IN_ORDER_RING_S
from sipcore.flow import FlowLimits
from sipcore.variables import VariableLimits


class FlowConfig(BaseModel):
    """Limits on the actions of one call."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_actions: Annotated[int, Field(ge=1, le=MAX_ACTIONS)] = MAX_ACTIONS
    """Actions in one list."""
    max_text_chars: Annotated[int, Field(ge=1, le=100_000)] = 10_000
    """Characters of the text of one `talk`, markup included."""
    max_pauses_s: Annotated[float, Field(ge=0, le=3600)] = 300.0
    """The pauses of one text in SSML together."""
    ring_in_order_s: Annotated[float, Field(gt=0, le=600)] = IN_ORDER_RING_S
    """How long each destination of a `connect` rings that rings one after the other, where the action does not say."""
    max_loop_count: Annotated[int, Field(ge=1, le=MAX_LOOPS)] = MAX_LOOPS
    """How often one `goto` may go back."""
    max_steps: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Actions that one call carries out, those included that loops repeat; the call ends as `failed` then."""
    max_variables: Annotated[int, Field(ge=0, le=10_000)] = 100
    """Variables that users set, of one call."""
    max_variable_bytes: Annotated[int, Field(ge=1, le=1_048_576)] = 32_768
    """The size of one variable."""
    max_variables_bytes: Annotated[int, Field(ge=1, le=16_777_216)] = 65_536
    """The size of all variables of one call, and of a text that they stand in."""
    fetch_max_depth: Annotated[int, Field(ge=1, le=50)] = 5
    """How deep fetched lists may fetch further ones."""
    fetch_max_bytes: Annotated[int, Field(ge=2, le=1_048_576)] = 65_536
    """The largest answer to a `fetch`."""
    web_timeout_s: Annotated[float, Field(gt=0, le=120)] = 10.0
    """How long the answer to a `fetch` or `webhook_send` may take."""

    @property
    def limits(self) -> FlowLimits:
        """Those of the machine."""
        return FlowLimits(self.max_steps, self.fetch_max_depth)

    @property
    def variable_limits(self) -> VariableLimits:
        """Those of the variables."""
        return VariableLimits(self.max_variables, self.max_variable_bytes, self.max_variables_bytes)
