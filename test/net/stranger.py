#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Who has no business at a rank's ports: stranger.py WHAT ADDRESS PORT FABRIC-PORT.
The messages are those of providers/tcp/wire.h."""
import os
import socket
import struct
import sys
import time

MAGIC, HELLO, REQUEST = 0x31504354, 1, 2


def connect(address, port):
    s = socket.create_connection((address, port), timeout=20)
    s.settimeout(20)
    return s


def header(kind, size):
    return struct.pack("<IHHIiQQ", MAGIC, kind, 0, size, 0, 0, 0)


def hello(rank, size):
    """Well-formed, but for the number that only ranks know."""
    body = struct.pack("<IIIIIIQ", 0, 1, 0, rank, size, 0, 1) + bytes(40)
    return header(HELLO, len(body)) + body


def ended(s):
    """The other end closes, and soon."""
    try:
        while s.recv(4096):
            pass
    except ConnectionResetError:
        pass


def garbage(address, port, _):
    for data in (b"GET / HTTP/1.0\r\nHost: rank\r\n\r\n", os.urandom(4096), bytes(4096),
                 header(REQUEST, 64) + bytes(64)):
        s = connect(address, port)
        s.sendall(data)
        ended(s)


def silence(address, port, _):
    connect(address, port).close()


def rank(address, port, _):
    s = connect(address, port)
    s.sendall(hello(1, 2))
    ended(s)


def fabric(address, _, port):
    for data in (b"GET / HTTP/1.0\r\n\r\n", os.urandom(4096), bytes(4096), b""):
        s = connect(address, port)
        s.sendall(data)
        s.close()
    time.sleep(0.5)


def early(address, port, _):
    """From before anybody listens until a second after."""
    print("begun", flush=True)
    refused, end = 0, time.monotonic() + 20
    while time.monotonic() < end:
        try:
            s = connect(address, port)
            s.sendall(hello(1, 2))
            ended(s)
        except OSError:
            time.sleep(0.002)
            continue
        if not refused:
            end = time.monotonic() + 1
        refused += 1
    print("refused", refused)


ROLES = {"garbage": garbage, "silence": silence, "rank": rank, "fabric": fabric,
         "early": early}
ROLES[sys.argv[1]](sys.argv[2], *map(int, sys.argv[3:]))
