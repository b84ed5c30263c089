"""Identity of a process, so that another can tell whether it still lives, also after its pid went to a newcomer."""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path

import psutil

_SEPARATOR = "~"  # in no host name, boot id or number


@dataclass(frozen=True)
class Process:
    """A process on a machine. `pid_space` is empty where the system (macOS) does not name it."""

    host: str
    boot: str  # tells machines of one host name apart: on Linux a new one each time a machine starts
    pid_space: str  # containers on one host count their pids apart
    pid: int
    start: str  # on Linux in clock ticks since boot, which no change of the clock moves; elsewhere seconds since 1970

    @staticmethod
    def current() -> Process:
        """This process."""
        return Process.of(os.getpid())

    @staticmethod
    def of(pid: int) -> Process:
        """Process `pid` of this machine."""
        return Process(socket.gethostname()[:64], _boot(), _pid_space(), pid, start_of(pid) or "")

    def lives(self) -> bool | None:
        """Whether it still runs; None when it cannot be seen from here.

        It is then of another host, of another machine of this host's name or this one before it started anew, or
        counted among another container's pids.
        """
        here = Process.current()
        if (self.host, self.boot, self.pid_space) != (here.host, here.boot, here.pid_space):
            return None
        return start_of(self.pid) == self.start

    def token(self) -> str:
        """The process as part of a file's name."""
        return _SEPARATOR.join([self.host, self.boot, self.pid_space, str(self.pid), self.start])

    @staticmethod
    def from_token(token: str) -> Process | None:
        """The process that `token` names, the inverse of `Process.token`; None when it names none."""
        parts = token.split(_SEPARATOR)
        if len(parts) != 5 or not parts[3].isdecimal():
            return None
        host, boot, pid_space, pid, start = parts
        return Process(host, boot, pid_space, int(pid), start)


def start_of(pid: int) -> str | None:
    """Start time of process `pid` of this machine; None when there is none, or only its unreaped remains."""
    try:
        # field 22 of the line; the second, the command, may hold spaces and brackets
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except OSError:
        pass
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except (psutil.Error, ValueError, OverflowError):  # a number that is no pid
        return None


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"{uuid.getnode():012x}"  # of the network card


def _pid_space() -> str:
    try:
        return str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        return ""
