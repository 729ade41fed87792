"""uvicorn's WebSocket protocol with one mend. It knows nothing of what the sockets carry."""

from __future__ import annotations

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class WebSockets(WebSocketsSansIOProtocol):
    """Lets the server stop while a page is just leaving.

    Over HTTPS a connection that is being closed stays until the page's side agrees. uvicorn would close its
    socket once more, which is an error that leaves every other connection open and the app without its end.
    """

    def shutdown(self) -> None:
        if not self.transport.is_closing():
            super().shutdown()
