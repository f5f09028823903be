# SPDX-License-Identifier: Apache-2.0
"""Python's getaddrinfo as an application calls it, timed. usage: resolve NAME TIMES [PORT]; see README.md."""
import errno
import json
import socket
import sys
import time


def reach(address: str, port: str) -> int:
    """The errno of a connect to the address at once, 0 if it worked."""
    try:
        socket.create_connection((address, int(port)), timeout=5).close()
        return 0
    except OSError as error:
        return error.errno or errno.ETIMEDOUT


def look_up(name: str, port: str) -> dict:
    start = time.perf_counter_ns()
    try:
        found, error = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM), None
    except socket.gaierror as raised:
        names = {getattr(socket, n): n for n in dir(socket) if n.startswith("EAI_")}
        found, error = [], names.get(raised.errno, "other")
    us = (time.perf_counter_ns() - start) / 1000
    addresses = [entry[4][0] for entry in found]
    return {"error": error, "us": us, "addresses": addresses,
            "connect": reach(addresses[-1], port) if addresses and port else 0}


def main() -> None:
    name, times, port = (sys.argv[1:] + [""])[:3]
    for _ in range(int(times)):
        print(json.dumps(look_up(name, port)), flush=True)


main()
