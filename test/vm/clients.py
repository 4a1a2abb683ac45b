# SPDX-License-Identifier: BSD-3-Clause
"""Clients of an ivshmem server that do what no rank does.
    clients.py join SOCKET COUNT           so many connect at once, and go again
    clients.py ring SOCKET TIMES           ring every doorbell there is, so often
    clients.py poke SOCKET OFFSET HEX      write to the region
    clients.py garbage SOCKET FILE         the header becomes garbage; FILE: what it was
    clients.py restore SOCKET FILE         and that again"""
import mmap
import os
import random
import socket
import struct
import sys

HEADER = 4096


def connect(path):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(path)
    return client


def message(client):
    data, fds, _, _ = socket.recv_fds(client, 8, 1)
    while len(data) < 8:
        data += client.recv(8 - len(data))
    return struct.unpack("<q", data)[0], fds[0] if fds else -1


def region(client):
    """The greeting's first messages, up to the region."""
    message(client)
    own, _ = message(client)
    _, fd = message(client)
    return own, mmap.mmap(fd, 0)


def bells(client, own):
    """All doorbells: our own come last, and there are as many of each."""
    found = []
    client.settimeout(1)
    try:
        while True:
            peer, fd = message(client)
            if peer != own:
                found.append(fd)
    except TimeoutError:
        return found


def main(command, path, *rest):
    if command == "join":
        clients = [connect(path) for _ in range(int(rest[0]))]
        for client in clients:
            region(client)
        return
    client = connect(path)
    own, memory = region(client)
    if command == "ring":
        for fd in bells(client, own):
            for _ in range(int(rest[0])):
                os.eventfd_write(fd, 1)
    elif command == "poke":
        at, data = int(rest[0]), bytes.fromhex(rest[1])
        memory[at : at + len(data)] = data
    elif command == "garbage":
        with open(rest[0], "wb") as file:
            file.write(memory[:HEADER])
        memory[:HEADER] = random.Random(1).randbytes(HEADER)
    else:
        with open(rest[0], "rb") as file:
            memory[:HEADER] = file.read()


main(*sys.argv[1:])
