"""Stands between a service and its PostgreSQL, and loses the answer to a COMMIT when it is told to."""

from __future__ import annotations

import contextlib
import socket
import threading

#: The message by which the driver asks for a commit, as a simple query (PostgreSQL protocol 3, 55.7).
_COMMIT = b"COMMIT\0"


class Proxy:
    """A listening port in front of the server's; each connection is carried by threads of its own."""

    def __init__(self, port: int) -> None:
        self._server_port = port
        self.dropped = 0
        self._armed = b""
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def drop_next_commit_answer(self, having: bytes) -> None:
        """Close the connection instead of answering the next COMMIT of a transaction that has sent these bytes."""
        self._armed = having

    def close(self) -> None:
        self._listener.close()
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server_port))
            self._sockets += [client, server]
            dropping = threading.Event()
            threading.Thread(target=self._ask, args=(client, server, dropping), daemon=True).start()
            threading.Thread(target=self._answer, args=(client, server, dropping), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket, dropping: threading.Event) -> None:
        seen = b""
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                seen += data
                if _COMMIT in data:
                    with self._lock:
                        if self._armed and self._armed in seen:
                            self._armed = b""
                            dropping.set()
                    seen = b""
                server.sendall(data)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_WR)

    def _answer(self, client: socket.socket, server: socket.socket, dropping: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if dropping.is_set():  # the server has answered: it has committed
                    self.dropped += 1
                    break
                client.sendall(data)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
