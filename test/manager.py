#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A service manager in small: what systemd does for a service with a file descriptor
store and Restart=on-failure (sd_notify(3), FDSTORE; sd_listen_fds(3)).

    manager.py DIRECTORY COMMAND...   run until COMMAND ends well; SIGTERM is passed on

DIRECTORY/pid holds the pid of the running COMMAND once it said READY=1."""
import array
import os
import select
import signal
import socket
import sys

directory, command = sys.argv[1], sys.argv[2:]
store = {}  # descriptor by name, in the order of their coming
child = 0


def receive(notify):
    data, ancillary, _, _ = notify.recvmsg(4096, socket.CMSG_SPACE(64 * 4))
    fields = dict(line.split("=", 1) for line in data.decode().splitlines() if "=" in line)
    fds = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
    name = fields.get("FDNAME", "stored")
    if "FDSTORE" in fields and name not in store:
        store[name] = fds.pop(0)
    for fd in fds:
        os.close(fd)
    if "FDSTOREREMOVE" in fields and name in store:
        os.close(store.pop(name))
    if fields.get("READY") == "1":
        with open(directory + "/pid.new", "w", encoding="ascii") as file:
            print(child, file=file)
        os.rename(directory + "/pid.new", directory + "/pid")


def drop_ended():
    """As systemd, let go of what has hung up."""
    poller = select.poll()
    for fd in store.values():
        poller.register(fd, 0)
    ended = {fd for fd, events in poller.poll(0) if events & (select.POLLHUP | select.POLLERR)}
    for name in [name for name, fd in store.items() if fd in ended]:
        os.close(store.pop(name))


def start():
    pid = os.fork()
    if pid:
        return pid
    high = [os.dup2(fd, 500 + i) for i, fd in enumerate(store.values())]
    for i, fd in enumerate(high):
        os.dup2(fd, 3 + i)
        os.close(fd)
    if store:
        os.environ["LISTEN_PID"] = str(os.getpid())
        os.environ["LISTEN_FDS"] = str(len(store))
        os.environ["LISTEN_FDNAMES"] = ":".join(store)
    os.environ["NOTIFY_SOCKET"] = directory + "/notify"
    os.execvp(command[0], command)


def main():
    global child
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(directory + "/notify")
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    for _ in range(10):
        child = start()
        pidfd = os.pidfd_open(child)
        while not select.select([pidfd], [], [], 0)[0]:
            if notify in select.select([notify, pidfd], [], [], 0.05)[0]:
                receive(notify)
            drop_ended()
        while select.select([notify], [], [], 0)[0]:
            receive(notify)
        os.close(pidfd)
        _, status = os.waitpid(child, 0)
        if os.path.exists(directory + "/pid"):
            os.unlink(directory + "/pid")
        if status == 0:
            return 0
        drop_ended()
    return 1


sys.exit(main())
