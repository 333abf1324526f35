"""Code in colours: Pygments' tokens as a handful of CSS classes of ours. Pure.

Never inline styles, and never more than the first ``MAX`` characters: lexers are slow, and people read the beginning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import groupby
from typing import Any

from django.utils.safestring import SafeString
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Literal, Name, Number, Operator, String, _TokenType

from approvals.legible import joined, span, visible

Json = Any
MAX = 8_000  # characters in colours
# What is highlighted at all: name as people know it, by Pygments' alias. A schema cannot ask for any other lexer.
LANGUAGES = {
    "bash": "Shell",
    "c": "C",
    "cpp": "C++",
    "csharp": "C#",
    "css": "CSS",
    "docker": "Dockerfile",
    "go": "Go",
    "graphql": "GraphQL",
    "html": "HTML",
    "ini": "INI",
    "java": "Java",
    "javascript": "JavaScript",
    "json": "JSON",
    "kotlin": "Kotlin",
    "markdown": "Markdown",
    "php": "PHP",
    "powershell": "PowerShell",
    "python": "Python",
    "ruby": "Ruby",
    "rust": "Rust",
    "sql": "SQL",
    "swift": "Swift",
    "terraform": "Terraform",
    "toml": "TOML",
    "typescript": "TypeScript",
    "xml": "XML",
    "yaml": "YAML",
}
_ALSO = {
    "sh": "bash", "shell": "bash", "zsh": "bash", "cmd": "bash", "command": "bash", "c++": "cpp", "c#": "csharp", "cs": "csharp",
    "dockerfile": "docker", "golang": "go", "htm": "html", "js": "javascript", "node": "javascript", "md": "markdown",
    "ps1": "powershell", "py": "python", "python3": "python", "rb": "ruby", "rs": "rust", "hcl": "terraform", "tf": "terraform",
    "ts": "typescript", "yml": "yaml", "kt": "kotlin", "postgresql": "sql", "mysql": "sql", "sqlite": "sql", "svg": "xml",
}  # fmt: skip
_NAMES = {"code", "script", "source", "snippet", "program", "content", "contents", "text", "body", "file_text", "data"}
_FENCE = re.compile(r"\s*```([\w+#-]{1,20})\n")
_SHEBANG = re.compile(r"#!\s*/\S*?(\w+)(?:[ \t]+(\w+))?[\d.]*\s*\n")
_PATHS = ("path", "file", "filename", "file_path", "file_name")
_SIGNS = (  # what a text that calls itself code looks like, where nothing says its language
    ("python", re.compile(r"^(?:def \w+\(|import \w+|from [\w.]+ import |class \w+.*:|if __name__)", re.M)),
    ("javascript", re.compile(r"^(?:const|let|var|function|export|import) |=> ?\{", re.M)),
    ("html", re.compile(r"\s*(?:<!doctype html|<html\b)", re.I)),
    ("bash", re.compile(r"^(?:set -|export \w+=|sudo |cd |rm |curl |kubectl |docker |git )", re.M)),
)
_SQL = re.compile(
    r"(?:\s|--[^\n]*\n)*(?:select\b.+\bfrom\b|insert\s+into\b|update\s+\S+\s+set\b|delete\s+from\b|with\s+\w+.*\bas\b\s*\("
    r"|(?:create|drop|alter)\s+(?:or\s+replace\s+)?\w+\s+\S|truncate\b|merge\s+into\b|grant\b.+\bto\b|revoke\b.+\bfrom\b)",
    re.I | re.S,
)


def known(language: str) -> str:
    """The language as LANGUAGES has it, or ""."""
    name = language.strip().lower()
    name = _ALSO.get(name, name)
    return name if name in LANGUAGES else ""


def language_of(name: str, text: str, schema: Mapping[str, Json], siblings: Mapping[str, Json]) -> str:
    """The language of an argument, or "" where it is not code: by the schema, then the text, then the names."""
    media = str(schema.get("contentMediaType") or "").split(";")[0].rsplit("/", 1)[-1].removeprefix("x-")
    for hint in (str(schema.get("x-language") or ""), media.removesuffix("+xml"), media.rsplit("+", 1)[-1]):
        if found := known(hint):
            return found
    begin = text[:4000]
    if fence := _FENCE.match(begin):
        return known(fence[1])
    if shebang := _SHEBANG.match(begin):
        word = shebang[2] if shebang[1] == "env" and shebang[2] else shebang[1]
        return known(word.rstrip("0123456789.")) or "bash"
    last = name.lower().rsplit("_", 1)[-1]
    if last in ("sql", "query", "statement", "queries", "statements") and (last == "sql" or _SQL.match(begin)):
        return "sql"
    if last not in _NAMES and name.lower() not in _NAMES:
        return known(last) if "\n" in begin or last in _ALSO or known(last) else ""
    for sibling in ("language", "lang", "syntax"):
        if found := known(str(siblings.get(sibling) or "")):
            return found
    for sibling in _PATHS:
        path = siblings.get(sibling)
        if isinstance(path, str) and (found := known(path.rsplit("/", 1)[-1].rsplit(".", 1)[-1])):
            return found
    if last in ("code", "script", "source", "snippet", "program") or begin.lstrip()[:1] == "<":
        if _SQL.match(begin):
            return "sql"
        return next((language for language, sign in _SIGNS if sign.search(begin)), "")
    return ""


def coloured(text: str, language: str) -> SafeString:
    """``text`` escaped, its first MAX characters with tokens in spans of the classes k, s, n, c, f and o."""
    if not language:
        return visible(text)
    cut = len(text) if len(text) <= MAX else text.rfind("\n", 0, MAX) + 1 or MAX
    parts = []
    for style, tokens in groupby(_lexer(language).get_tokens_unprocessed(text[:cut]), lambda token: _style(token[1])):
        parts.append(span(style, "".join(value for _, _, value in tokens)))
    if cut < len(text):
        parts.append(visible(text[cut:]))
    return joined(parts)


@lru_cache(maxsize=len(LANGUAGES))
def _lexer(language: str) -> Lexer:
    return get_lexer_by_name(language)


@lru_cache(maxsize=512)
def _style(token: _TokenType) -> str:
    for kind, style in _STYLES:
        if token in kind:
            return style
    return ""


_STYLES = (
    (Comment, "c"),
    (Keyword, "k"),
    (Operator.Word, "k"),
    (Number, "n"),
    (String, "s"),
    (Literal, "s"),
    (Name.Function, "f"),
    (Name.Class, "f"),
    (Name.Tag, "k"),
    (Name.Attribute, "f"),
    (Name.Decorator, "f"),
    (Name.Builtin, "f"),
)
