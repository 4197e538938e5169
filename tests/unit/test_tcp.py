"""The broker's socket."""

from __future__ import annotations

import socket

from nuki_bridge.mqtt.tcp import acknowledge


def test_what_was_read_is_acknowledged_at_once() -> None:
    """Otherwise the kernel may wait for 40 ms, and with it a broker that waits for the acknowledgement."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        broker, _ = server.accept()
        with broker:
            client.sendall(b"request")  # a side that answers comes to acknowledge with its answers only
            broker.recv(100)
            broker.sendall(b"answer")
            client.recv(100)
            client.sendall(b"request")
            assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK) == 0
            acknowledge(client)
            assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK) == 1


def test_a_socket_that_is_gone_is_no_error() -> None:
    sock = socket.socket()
    sock.close()
    acknowledge(sock)
