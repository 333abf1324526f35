"""The allow-list: the only AutoGen classes that a document may name, each by an exact path.

Values are the class names. A path that is not here is refused without looking at what it points to: AutoGen's own
loader imports whatever a document says.
"""

from __future__ import annotations

from console.agents.tools import clip

_TEAMS = "autogen_agentchat.teams"
_CHAT = "autogen_agentchat.teams._group_chat"
_AGENTS = "autogen_agentchat.agents"
_CONDITIONS = "autogen_agentchat.conditions"
_OPENAI = "autogen_ext.models.openai"

TEAMS = {
    f"{_TEAMS}.RoundRobinGroupChat": "RoundRobinGroupChat",
    f"{_TEAMS}.SelectorGroupChat": "SelectorGroupChat",
    f"{_TEAMS}.Swarm": "Swarm",
    f"{_TEAMS}.GraphFlow": "GraphFlow",
    f"{_TEAMS}.MagenticOneGroupChat": "MagenticOneGroupChat",
    # The same classes, where older files found them.
    f"{_CHAT}._round_robin_group_chat.RoundRobinGroupChat": "RoundRobinGroupChat",
    f"{_CHAT}._selector_group_chat.SelectorGroupChat": "SelectorGroupChat",
    f"{_CHAT}._swarm_group_chat.Swarm": "Swarm",
    f"{_CHAT}._graph._digraph_group_chat.GraphFlow": "GraphFlow",
    f"{_CHAT}._magentic_one._magentic_one_group_chat.MagenticOneGroupChat": "MagenticOneGroupChat",
}
AGENTS = {
    f"{_AGENTS}{module}.{name}": name
    for name, private in {
        "AssistantAgent": "_assistant_agent",
        "UserProxyAgent": "_user_proxy_agent",
        "MessageFilterAgent": "_message_filter_agent",
        "SocietyOfMindAgent": "_society_of_mind_agent",
        "CodeExecutorAgent": "_code_executor_agent",
    }.items()
    for module in ("", f".{private}")
}
# The credential decides which of the two is made; a document only says which model, and how it is asked.
MODELS = {
    f"{_OPENAI}{module}.{name}": name
    for name in ("OpenAIChatCompletionClient", "AzureOpenAIChatCompletionClient")
    for module in ("", "._openai_client")
}
WORKBENCHES = {
    **{
        f"autogen_core.tools{module}.{name}": name
        for name in ("StaticWorkbench", "StaticStreamWorkbench")
        for module in ("", "._static_workbench")
    },
    "autogen_ext.tools.mcp.McpWorkbench": "McpWorkbench",
    "autogen_ext.tools.mcp._workbench.McpWorkbench": "McpWorkbench",
}
TOOLS = {
    "autogen_core.tools.FunctionTool": "FunctionTool",
    "autogen_core.tools._function_tool.FunctionTool": "FunctionTool",
    "autogen_agentchat.tools.AgentTool": "AgentTool",
    "autogen_agentchat.tools._agent.AgentTool": "AgentTool",
    "autogen_agentchat.tools.TeamTool": "TeamTool",
    "autogen_agentchat.tools._team.TeamTool": "TeamTool",
    # Never made as they are: their names are mapped to tools of the catalogue.
    "autogen_ext.tools.http.HttpTool": "HttpTool",
    "autogen_ext.tools.code_execution.PythonCodeExecutionTool": "PythonCodeExecutionTool",
    "autogen_ext.tools.mcp.StdioMcpToolAdapter": "McpAdapter",
    "autogen_ext.tools.mcp.SseMcpToolAdapter": "McpAdapter",
    "autogen_ext.tools.mcp.StreamableHttpMcpToolAdapter": "McpAdapter",
}
# Never made as they are, either: a code executor of the catalogue stands in for each.
EXECUTORS = {
    f"autogen_ext.code_executors.{module}.{name}": name
    for module, name in (
        ("docker", "DockerCommandLineCodeExecutor"),
        ("docker._docker_code_executor", "DockerCommandLineCodeExecutor"),
        ("local", "LocalCommandLineCodeExecutor"),
        ("jupyter", "JupyterCodeExecutor"),
        ("jupyter._jupyter_code_executor", "JupyterCodeExecutor"),
        ("docker_jupyter", "DockerJupyterCodeExecutor"),
        ("docker_jupyter._docker_jupyter", "DockerJupyterCodeExecutor"),
        ("azure", "ACADynamicSessionsCodeExecutor"),
    )
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
MEMORIES = {
    "autogen_core.memory.ListMemory": "ListMemory",
    "autogen_core.memory._list_memory.ListMemory": "ListMemory",
}
STRUCTURES = {"autogen_agentchat.messages.StructuredMessageFactory": "StructuredMessageFactory"}
CONDITIONS = {
    "autogen_agentchat.base.AndTerminationCondition": "AndTerminationCondition",
    "autogen_agentchat.base.OrTerminationCondition": "OrTerminationCondition",
    **{
        f"{_CONDITIONS}{module}.{name}": name
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
        for module in ("", "._terminations")
    },
}
# Conditions that are limits rather than ends, and the stop reason that they mean.
GUARDS = {"MaxMessageTermination": "max_turns", "TokenUsageTermination": "budget", "TimeoutTermination": "timeout"}

# Who asks a team's own model, by the kind of team.
SPEAKERS = {"SelectorGroupChat": "selector", "MagenticOneGroupChat": "MagenticOneOrchestrator"}
RESERVED = {"team", *SPEAKERS.values()}  # scopes of the journal

_ALIASES = {
    "openai_chat_completion_client": f"{_OPENAI}.OpenAIChatCompletionClient",
    "OpenAIChatCompletionClient": f"{_OPENAI}.OpenAIChatCompletionClient",
    "azure_openai_chat_completion_client": f"{_OPENAI}.AzureOpenAIChatCompletionClient",
    "AzureOpenAIChatCompletionClient": f"{_OPENAI}.AzureOpenAIChatCompletionClient",
}
_REMEDIES = {
    "autogen_agentchat.conditions.FunctionalTermination": "It is code, and code of a document is never run.",
    "autogen_ext.models.": "Use OpenAIChatCompletionClient: a credential leads it to any OpenAI-compatible endpoint.",
    "autogen_ext.memory.": "Use ListMemory, or a tool of the catalogue that looks things up.",
    "autogen_ext.agents.": "Use an AssistantAgent with tools of the catalogue.",
    "autogen_ext.tools.": "Map it to a tool of the catalogue: write it as a FunctionTool with that name.",
}


def why_not(provider: str, what: str) -> str:
    """Why a provider may not be used as ``what``, and what to do instead."""
    if provider in _ALIASES:
        return f"Write the provider in full: {_ALIASES[provider]}."
    remedy = next((said for prefix, said in _REMEDIES.items() if provider.startswith(prefix)), "")
    return f"{clip(provider, 120)} is not on the list of what may be {what}.{' ' + remedy if remedy else ''}"
