#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Who has no business at TMB_RENDEZVOUS: stranger.py WHAT PORT, on 127.0.0.1.
The messages are those of core/bootstrap/greeting.h."""
import os
import socket
import struct
import sys
import time

MAGIC = 0x52424D54
CHALLENGE, HELLO, VERDICT = 1, 2, 3
CHALLENGE_BYTES, HELLO_BYTES = 56, 128


def version_of(message):
    return struct.unpack_from("<HHHHHH", message, 4)[2:5]


def head(kind, version, wire=1):
    return struct.pack("<IHHHHHH", MAGIC, wire, kind, *version, 0)


def receive(s, count):
    data = b""
    while len(data) < count:
        more = s.recv(count - len(data))
        if not more:
            break
        data += more
    return data


def connect(port):
    s = socket.create_connection(("127.0.0.1", port))
    s.settimeout(20)
    return s


def there():
    """The ranks may go on."""
    print("there", flush=True)


def ended(s):
    """The other end closes, and soon."""
    try:
        while s.recv(4096):
            pass
    except ConnectionResetError:
        pass


def hello(version, rank, wire=1):
    return (head(HELLO, version, wire) + struct.pack("<II", rank, 3) + os.urandom(32)
            + bytes(40) + os.urandom(32))


# ---- at rank 0's port ----

def garbage(port):
    for data in (b"GET / HTTP/1.0\r\n\r\n", os.urandom(4096), bytes(4096), b"\xff" * 15):
        s = connect(port)
        receive(s, CHALLENGE_BYTES)
        s.sendall(data)
        if len(data) < 16:
            s.close()
        else:
            ended(s)
    there()


def silent(port):
    s = connect(port)
    assert len(receive(s, CHALLENGE_BYTES)) == CHALLENGE_BYTES
    there()
    ended(s)


def many(port):
    sockets = [connect(port) for _ in range(400)]
    for i, s in enumerate(sockets):
        if i % 2:
            s.close()
    there()
    time.sleep(1)


def replay(port):
    """A hello without the secret, in another rank's name."""
    s = connect(port)
    challenge = receive(s, CHALLENGE_BYTES)
    s.sendall(hello(version_of(challenge), 2))
    verdict = receive(s, 96)
    assert len(verdict) == 96 and struct.unpack_from("<I", verdict, 16)[0] == 1
    assert verdict[24:] == bytes(72), "a refusal tells nothing"
    ended(s)
    there()


def version(port):
    s = connect(port)
    receive(s, CHALLENGE_BYTES)
    s.sendall(hello((9, 8, 7), 2))
    ended(s)
    there()


def leave(port):
    """Rank 2 of 3, where there is no secret: it is welcome, and goes."""
    s = connect(port)
    challenge = receive(s, CHALLENGE_BYTES)
    s.sendall(hello(version_of(challenge), 2)[:96] + bytes(32))
    verdict = receive(s, 96)
    assert struct.unpack_from("<I", verdict, 16)[0] == 0
    s.close()


# ---- in rank 0's place ----

def serve(port, talk):
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        listener.settimeout(20)
        s, _ = listener.accept()
    s.settimeout(20)
    talk(s)
    ended(s)


def challenge(s, secret):
    s.sendall(head(CHALLENGE, OWN) + struct.pack("<II", secret, 0) + os.urandom(32))


def unproved(s):
    challenge(s, 1)
    assert len(receive(s, HELLO_BYTES)) == HELLO_BYTES
    s.sendall(head(VERDICT, OWN) + struct.pack("<II", 0, 0) + b"name".ljust(40, b"\0")
              + os.urandom(32))


def own_version():
    path = os.path.join(os.path.dirname(__file__), "..", "configure.ac")
    for line in open(path):
        if line.startswith("AC_INIT([tombolo], ["):
            return tuple(int(n) for n in line.split("[")[2].split("]")[0].split("."))
    raise RuntimeError(path)


OWN = own_version()
ROLES = {
    "garbage": garbage, "silent": silent, "many": many, "replay": replay,
    "version": version, "leave": leave,
    "serve-garbage": lambda p: serve(p, lambda s: s.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")),
    "serve-silent": lambda p: serve(p, lambda s: None),
    "serve-version": lambda p: serve(p, lambda s: s.sendall(head(CHALLENGE, (9, 8, 7), 2))),
    "serve-no-secret": lambda p: serve(p, lambda s: challenge(s, 0)),
    "serve-unproved": lambda p: serve(p, unproved),
}
ROLES[sys.argv[1]](int(sys.argv[2]))
