# SPDX-License-Identifier: Apache-2.0
"""Takes whatever TCP sends and throws it away, unread.

usage: sink.py PORT            of whoever connects
       sink.py PORT ADDRESS N  of N connections that it opens
"""
import selectors
import socket
import sys

ROOM = 1 << 20


def main() -> None:
    port, *towards = sys.argv[1:]
    ready, listener = selectors.DefaultSelector(), None
    if towards:
        for _ in range(int(towards[1])):
            ready.register(socket.create_connection((towards[0], int(port))), selectors.EVENT_READ)
    else:
        listener = socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True, backlog=256)
        ready.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in ready.select():
            if key.fileobj is listener:
                ready.register(listener.accept()[0], selectors.EVENT_READ)
                continue
            try:
                left = key.fileobj.recv(ROOM, socket.MSG_TRUNC)
            except OSError:
                left = b""
            if not left:
                ready.unregister(key.fileobj)
                key.fileobj.close()


main()
