# SPDX-License-Identifier: BSD-3-Clause
"""What the host asks of a guest.

guest.py run DIRECTORY SECONDS COMMAND    over one of the agent's ports (guest/agent.c);
    its output and exit code are the command's; 124: it took longer, 125: no guest.
guest.py feed DIRECTORY SECONDS COMMAND   the same, with our standard input
guest.py monitor DIRECTORY COMMAND        of QEMU's human monitor
"""
import fcntl, glob, json, os, select, socket, struct, sys, threading, time

CHUNK = 32768
TOO_LONG, NO_GUEST = 124, 125


def fail(code, text):
    print(f"guest {os.path.basename(sys.argv[2])}: {text}", file=sys.stderr)
    sys.stderr.flush()
    os._exit(code)


def lock_port(directory, deadline):
    """A port that nobody uses: it is ours until we end."""
    while True:
        paths = sorted(glob.glob(f"{directory}/port.?"))
        if not paths:
            fail(NO_GUEST, "it isn't running")
        for path in paths:
            lock = open(path + ".lock", "w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return path, lock
            except BlockingIOError:
                lock.close()
        if time.monotonic() > deadline:
            fail(TOO_LONG, "all its ports are busy")
        time.sleep(0.05)


class Stream:
    def __init__(self, path, deadline):
        self.deadline = deadline
        self.socket = socket.socket(socket.AF_UNIX)
        self.data = b""
        try:
            self.socket.connect(path)
        except OSError as error:
            fail(NO_GUEST, f"{path}: {error.strerror}")

    def more(self):
        left = self.deadline - time.monotonic()
        if left <= 0 or not select.select([self.socket], [], [], left)[0]:
            fail(TOO_LONG, "it took too long: " + sys.argv[-1])
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            fail(NO_GUEST, "it is gone")
        self.data += data

    def take(self, size):
        while len(self.data) < size:
            self.more()
        data, self.data = self.data[:size], self.data[size:]
        return data

    def skip_past(self, mark):
        """What an earlier command has left comes before the mark."""
        while mark not in self.data:
            self.data = self.data[-len(mark):]
            self.more()
        self.data = self.data.partition(mark)[2]

    def send(self, kind, data=b""):
        self.socket.sendall(kind + struct.pack("<I", len(data)) + data)


def pump(stream):
    try:
        while data := os.read(0, CHUNK):
            stream.send(b"I", data)
        stream.send(b"I")
    except OSError:
        pass  # the command has ended, which its exit code tells


def run(directory, seconds, command, with_input):
    deadline = time.monotonic() + float(seconds)
    path, lock = lock_port(directory, deadline)
    stream = Stream(path, deadline)
    mark = os.urandom(16)
    stream.send(b"C", mark + command.encode())
    if with_input:
        threading.Thread(target=pump, args=(stream,), daemon=True).start()
    else:
        stream.send(b"I")
    stream.skip_past(mark)
    while True:
        kind, size = struct.unpack("<cI", stream.take(5))
        data = stream.take(size)
        if kind == b"X":
            os._exit(data[0])
        out = 1 if kind == b"O" else 2
        while data:
            data = data[os.write(out, data):]


def monitor(directory, command):
    qmp = socket.socket(socket.AF_UNIX)
    qmp.settimeout(30)
    qmp.connect(f"{directory}/qmp")
    lines = qmp.makefile("rw")

    def ask(execute, **arguments):
        lines.write(json.dumps({"execute": execute, "arguments": arguments}) + "\n")
        lines.flush()
        while line := lines.readline():
            answer = json.loads(line)
            if "error" in answer:
                fail(1, f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]
        return ""  # `quit` may end it before it answers

    lines.readline()
    ask("qmp_capabilities")
    print(ask("human-monitor-command", **{"command-line": command}).replace("\r", ""),
          end="")


if sys.argv[1] == "monitor":
    monitor(*sys.argv[2:])
else:
    run(*sys.argv[2:], with_input=sys.argv[1] == "feed")
