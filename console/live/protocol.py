"""uvicorn's websocket protocol, with a way to write a frame that was made once for everybody.

A server's frames carry no mask, so a text is the same bytes on every connection. uvicorn would encode it, frame it and
collect the output anew for each socket, which is most of what a delivery costs.
"""

from __future__ import annotations

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

SHORT, MEDIUM = 126, 65_536  # bytes from which on a frame's length takes two more, and eight


class DirectProtocol(WebSocketsSansIOProtocol):
    """The same protocol; ``put`` reaches past ``send`` when nothing stands in between."""

    def put(self, frame: bytes) -> bool:
        """Write a frame now. False, and nothing is written, where only ``send`` can say what to do: the buffer is full,
        the connection is closing or gone, or frames are compressed on it."""
        if (
            self.close_sent
            or self.disconnected
            or not self.handshake_complete
            or not self.writable.is_set()
            or self.conn.state is not State.OPEN
            or self.conn.extensions
        ):
            return False
        self.transport.write(frame)
        return True


def text_frame(text: str) -> bytes:
    """A whole text as one websocket frame of a server."""
    data = text.encode()
    size = len(data)
    if size < SHORT:
        head = bytes((0x81, size))
    elif size < MEDIUM:
        head = b"\x81\x7e" + size.to_bytes(2, "big")
    else:
        head = b"\x81\x7f" + size.to_bytes(8, "big")
    return head + data
