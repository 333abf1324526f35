"""One walk over a component document: each fault by its JSON path (``$.team...``), and the normalised document.

Normalised: providers by their one canonical path, AssistantAgent in version 2, tools pinned to a catalogue version and
without source code, keys and addresses left out. AutoGen's own schemas of the allowed classes check the types.

base     findings, the look at one component
parts    models, contexts, conditions, memories, structured messages
tools    workbenches and tools
agents   agents of every kind
teams    teams of every kind; ``Walk`` is all of it
"""

from console.agents.walk.base import Finding, Node
from console.agents.walk.teams import Walk

__all__ = ["Finding", "Node", "Walk"]
