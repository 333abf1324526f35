"""The wrapped GraphFlow: its start nodes have an order, and its edges do not hear reviewers."""

from __future__ import annotations

from collections.abc import Callable

from autogen_agentchat.base import ChatAgent, TerminationCondition
from autogen_agentchat.messages import BaseChatMessage
from autogen_agentchat.teams import DiGraph, GraphFlow
from autogen_agentchat.teams._group_chat._graph._digraph_group_chat import GraphFlowConfig

from console.agents.oversight import unquoted


class OrderedGraph(DiGraph):
    """AutoGen keeps start nodes in a set, whose order differs from process to process: a replay's must not."""

    def get_start_nodes(self) -> list[str]:  # type: ignore[override]
        """The start nodes, in the document's order."""
        found = super().get_start_nodes()
        return [name for name in self.nodes if name in found]


class JournaledGraphFlow(GraphFlow):
    """Stands for GraphFlow."""

    component_provider_override = "console.agents.graphs.JournaledGraphFlow"

    @classmethod
    def _from_config(cls, config: GraphFlowConfig) -> JournaledGraphFlow:
        graph = OrderedGraph.model_validate(config.graph.model_dump())
        for node in graph.nodes.values():
            for edge in node.edges:
                if isinstance(edge.condition, str):
                    edge.condition_function = _mentions(edge.condition)
                    edge.condition = None
        ending = config.termination_condition
        return cls(
            name=config.name,
            description=config.description,
            participants=[ChatAgent.load_component(participant) for participant in config.participants],
            graph=graph,
            termination_condition=TerminationCondition.load_component(ending) if ending else None,
            max_turns=config.max_turns,
        )


def _mentions(words: str) -> Callable[[BaseChatMessage], bool]:
    return lambda message: words in unquoted(message.to_model_text())
