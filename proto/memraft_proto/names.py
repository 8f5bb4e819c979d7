"""How namespaces and agents are named. Part of the contract: what certificates and requests may say."""

import re

NAMESPACE_SEGMENT = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
"""One segment of a namespace's path; the first is the tenant."""

AGENT_PART = r"[A-Za-z0-9._~:@-]{1,128}"
"""One part of an agent's path, which is what a path segment of a URI may hold without escapes."""

is_namespace_segment = re.compile(NAMESPACE_SEGMENT).fullmatch
is_agent = re.compile(f"{AGENT_PART}(?:/{AGENT_PART})*").fullmatch
