"""The allow-list: the only AutoGen classes that a document may name, each by an exact path.

Values are the class names. A path that is not here is refused without looking at what it points to: AutoGen's own
loader imports whatever a document says.
"""

from __future__ import annotations

_TEAMS = "autogen_agentchat.teams"
_CHAT = "autogen_agentchat.teams._group_chat"
_CONDITIONS = "autogen_agentchat.conditions"

TEAMS = {
    f"{_TEAMS}.RoundRobinGroupChat": "RoundRobinGroupChat",
    f"{_TEAMS}.SelectorGroupChat": "SelectorGroupChat",
    f"{_TEAMS}.Swarm": "Swarm",
    f"{_TEAMS}.GraphFlow": "GraphFlow",
    # The same classes, where older files found them.
    f"{_CHAT}._round_robin_group_chat.RoundRobinGroupChat": "RoundRobinGroupChat",
    f"{_CHAT}._selector_group_chat.SelectorGroupChat": "SelectorGroupChat",
    f"{_CHAT}._swarm_group_chat.Swarm": "Swarm",
    f"{_CHAT}._graph._digraph_group_chat.GraphFlow": "GraphFlow",
}
AGENTS = {
    "autogen_agentchat.agents.AssistantAgent": "AssistantAgent",
    "autogen_agentchat.agents._assistant_agent.AssistantAgent": "AssistantAgent",
    "autogen_agentchat.agents.UserProxyAgent": "UserProxyAgent",
    "autogen_agentchat.agents._user_proxy_agent.UserProxyAgent": "UserProxyAgent",
}
MODELS = {
    "autogen_ext.models.openai.OpenAIChatCompletionClient": "OpenAIChatCompletionClient",
    "autogen_ext.models.openai._openai_client.OpenAIChatCompletionClient": "OpenAIChatCompletionClient",
}
WORKBENCHES = {
    "autogen_core.tools.StaticWorkbench": "StaticWorkbench",
    "autogen_core.tools.StaticStreamWorkbench": "StaticStreamWorkbench",
    "autogen_core.tools._static_workbench.StaticWorkbench": "StaticWorkbench",
    "autogen_core.tools._static_workbench.StaticStreamWorkbench": "StaticStreamWorkbench",
}
TOOLS = {
    "autogen_core.tools.FunctionTool": "FunctionTool",
    "autogen_core.tools._function_tool.FunctionTool": "FunctionTool",
}
CONTEXTS = {
    f"autogen_core.model_context.{name}": name
    for name in (
        "UnboundedChatCompletionContext",
        "BufferedChatCompletionContext",
        "HeadAndTailChatCompletionContext",
        "TokenLimitedChatCompletionContext",
    )
}
CONDITIONS = {
    "autogen_agentchat.base.AndTerminationCondition": "AndTerminationCondition",
    "autogen_agentchat.base.OrTerminationCondition": "OrTerminationCondition",
    **{
        f"{_CONDITIONS}.{name}": name
        for name in (
            "ExternalTermination",
            "FunctionCallTermination",
            "HandoffTermination",
            "MaxMessageTermination",
            "SourceMatchTermination",
            "StopMessageTermination",
            "TextMentionTermination",
            "TextMessageTermination",
            "TimeoutTermination",
            "TokenUsageTermination",
        )
    },
}
# Conditions that are limits rather than ends, and the stop reason that they mean.
GUARDS = {"MaxMessageTermination": "max_turns", "TokenUsageTermination": "budget", "TimeoutTermination": "timeout"}

LATER = {
    "autogen_agentchat.teams.MagenticOneGroupChat": "MagenticOneGroupChat",
    "autogen_agentchat.agents.SocietyOfMindAgent": "SocietyOfMindAgent",
    "autogen_agentchat.agents.MessageFilterAgent": "MessageFilterAgent",
    "autogen_agentchat.agents.CodeExecutorAgent": "CodeExecutorAgent",
    "autogen_agentchat.tools.AgentTool": "AgentTool",
    "autogen_agentchat.tools.TeamTool": "TeamTool",
    "autogen_ext.tools.mcp.McpWorkbench": "McpWorkbench",
}
ALIASES = {
    "openai_chat_completion_client": "autogen_ext.models.openai.OpenAIChatCompletionClient",
    "OpenAIChatCompletionClient": "autogen_ext.models.openai.OpenAIChatCompletionClient",
}
