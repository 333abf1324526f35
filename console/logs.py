"""What must not get into a log that others write for us."""

from __future__ import annotations

import logging


class WithoutQuery(logging.Filter):
    """Cuts the query off each address that uvicorn logs of a websocket: people try tokens there, though none is taken."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                each.partition("?")[0] if isinstance(each, str) and each.startswith("/") else each
                for each in record.args
            )
        return True
