# SPDX-License-Identifier: Apache-2.0
"""The web and echo server of the lab's internet: HTTP on TCP, echo on UDP, on every address, v4 and v6.

usage: web.py TCP_PORT[,TCP_PORT...] UDP_PORT[,UDP_PORT...]
  /            one line: the Host header and the address that was asked
  /stream      lines without an end, a hundred a second: a long-lived download
  /bytes/N     N octets
  /numbers     blocks without an end, a hundred a second: block n is the number n, 8 octets, 1,024 times;
                until the client closes its side, as /stream
Prints "ready" when it listens.
"""
import http.server
import itertools
import select
import socket
import socketserver
import sys
import threading
import time


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path in ("/stream", "/numbers"):
            self.stream(lambda n: b"." * 1023 + b"\n" if self.path == "/stream" else n.to_bytes(8, "big") * 1024)
            return
        if self.path.startswith("/bytes/"):
            body = b"x" * int(self.path.split("/")[2])
        else:
            address = self.connection.getsockname()[0].removeprefix("::ffff:")
            body = f"hello {self.headers.get('Host', '-')} from {address}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, block) -> None:
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for n in itertools.count():
            if select.select([self.connection], [], [], 0)[0]:
                return  # the client has closed its side
            try:
                self.wfile.write(block(n))
            except OSError:
                return
            time.sleep(0.01)

    def log_message(self, *arguments) -> None:
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True
    request_queue_size = 128

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        socketserver.TCPServer.server_bind(self)  # without the reverse look-up of HTTPServer


def echo(family: int, address: str, port: int, ready: threading.Semaphore) -> None:
    """One socket an address family with packet info, so that the answer leaves from the address that was asked."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    level, option = (socket.IPPROTO_IP, 8) if family == socket.AF_INET else (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO)
    sock.setsockopt(level, option, 1)
    sock.setsockopt(level, 15 if family == socket.AF_INET else 78, 1)  # FREEBIND: our addresses are routes, not assigned
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((address, port))
    ready.release()
    while True:
        data, control, _, peer = sock.recvmsg(65535, 256)
        try:
            sock.sendmsg([data], [(lvl, kind, info) for lvl, kind, info in control if lvl == level], 0, peer)
        except OSError:
            continue


def main() -> None:
    tcp_ports, udp_ports = ([int(p) for p in argument.split(",")] for argument in sys.argv[1:3])
    ready = threading.Semaphore(0)
    for port in udp_ports:
        for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            threading.Thread(target=echo, args=(family, address, port, ready), daemon=True).start()
    for _ in range(2 * len(udp_ports)):
        ready.acquire()
    servers = [Server(("::", port), Handler) for port in tcp_ports]
    for server in servers[1:]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", flush=True)
    servers[0].serve_forever()


main()
