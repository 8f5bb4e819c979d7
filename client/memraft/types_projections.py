"""What calls on projections return."""

from typing import Literal, TypeAlias

import msgspec

ProjectionState: TypeAlias = Literal["building", "following", "failed"]


class ProjectionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """How a registered projection of a namespace stands on the node that answered."""

    name: str
    state: ProjectionState
    projected_index: int
    """It has had all that was written up to this log index."""
    fault: str = ""
    """Where its code failed: at which change, and how."""
    state_hash: bytes = b""
    """A hash of what it holds, if its code gives one."""
