"""A lease: the right to execute a run, on file systems where locks, clocks and file times mean nothing (NFS).

It is a file, written under a private name and given its own by `os.link`, which succeeds for one process alone. It says
who holds it. Whether that process lives is asked of the system on the same host, of SLURM for a job elsewhere, and else
of the holder's beat: a counter next to the lease which the holder writes every few seconds, and which a watcher must
find unchanged for a while by its own steady clock.

A dead holder's lease is replaced by whoever holds the claim on it: a second lease, named after the dead holder, that is
acquired, and where its own holder died taken over, in just the same way. Every interleaving comes to one of these:

- Two takers saw the same dead lease. One gets the claim, replaces the lease by its own in one move, and gives the claim
  up. The other does not get the claim; or it gets it later, reads the lease, finds it is no longer the dead holder's,
  and gives up. So nobody ever moves the lease of the living.
- A taker is killed while it has the claim. The claim is then a dead lease like any other.
- A holder was taken for dead but lives: cut off from the file server, or stopped for longer than watchers wait. Another
  computes the run as well. The slow one asks `held` before it publishes, is told no, and throws its result away. Should
  the lease be lost between the answer and the publishing, the results' own rule decides: the first finished result
  stays (`results.store.write_run`). It asks in the same way before each file that it leaves on its way (`guard`), and
  stops. `release` looks whose lease it is, and leaves another's.

So there is at most one result always, and one computation unless a holder that was cut off survives.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from types import TracebackType

from spike_ssm.harness.system import slurm
from spike_ssm.results.documents import read_document
from spike_ssm.results.errors import UserError
from spike_ssm.results.files import link_if_free, patiently, remove_leftovers, written
from spike_ssm.results.process import Process

BEAT_S = 5.0
"""Seconds between two beats of a holder."""

PATIENCE_S = 90.0
"""Seconds without a beat after which a holder is dead: longer than NFS clients keep what they know, a minute."""

POLLS = 10
"""Looks over which the patience is spread, at least."""

SlurmAlive = Callable[[slurm.OwnedJob], bool | None]
"""Whether a job waits or runs; None: cannot say."""


class LostLease(Exception):  # noqa: N818 (no error of the run's)
    """The lease that a run is computed under is another's by now, or gone: this computation does not count."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lease. `process` is None when the file is damaged: then only the lack of beats tells.

    Files of earlier versions name neither user nor cluster.
    """

    uuid: str
    process: Process | None
    job: str | None = None  # SLURM's, JOB or ARRAY_TASK
    restart: int = 0  # how often SLURM had requeued the job
    acquired: str = ""  # ISO 8601, UTC; for people only
    user: str = ""
    cluster: str = ""  # SLURM's, of the job
    name: str = ""  # of the job

    @staticmethod
    def current() -> Holder:
        """This process, about to acquire."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        job = slurm.this_job()
        place = (slurm.cluster(), os.environ.get("SLURM_JOB_NAME", "")) if job else ("", "")
        return Holder(uuid.uuid4().hex, Process.current(), job, slurm.restarts(), now, slurm.user(), *place)

    def owned_job(self) -> slurm.OwnedJob | None:
        """The job that the process is part of, if any."""
        return slurm.OwnedJob(self.job, self.user, self.cluster, self.name) if self.job else None

    def __str__(self) -> str:
        """Who that is, for people."""
        if self.process is None:
            return "nobody knows whom, because its lease is damaged"
        job = f" of SLURM's job {self.job}" if self.job else ""
        return f"process {self.process.pid}{job} on host {self.process.host}"

    def to_json(self) -> bytes:
        """What a lease file holds."""
        return json.dumps(asdict(self), indent=1).encode()

    @staticmethod
    def from_json(content: bytes) -> Holder:
        """The inverse of `to_json`; damaged content gives a holder of whom nothing is known."""
        try:
            holder = read_document(Holder, json.loads(content), "lease")
            if re.fullmatch("[0-9a-zA-Z]{1,64}", holder.uuid):  # it becomes part of a file's name
                return holder
        except (ValueError, RecursionError, UserError):
            pass
        return Holder(f"damaged-{sha256(content).hexdigest()[:16]}", None)


class Watch:
    """Remembers the beats a watcher saw between its looks. Keep one for as long as you watch.

    Time counts in small steps only: after a pause of the watcher itself, or of the file server, a holder gets the
    chance to beat again before it is taken for dead.
    """

    def __init__(
        self, patience_s: float = PATIENCE_S, polls: int = POLLS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._patience_s, self._longest_step_s, self._clock = patience_s, patience_s / polls, clock
        self._seen: dict[Path, tuple[str, str, float, float]] = {}  # holder, beat, last look, silent for so long
        self._heard: dict[Path, str] = {}  # the holder that beat between two looks

    def is_silent(self, path: Path, holder: Holder) -> bool:
        """Look once more at the beat of lease `path`: has `holder` been silent for longer than the patience?"""
        beat, now = _read_beat(path), self._clock()
        known_holder, known_beat, last, silent_s = self._seen.get(path, ("", "", now, 0.0))
        if (known_holder, known_beat) == (holder.uuid, beat):
            silent_s += min(now - last, self._longest_step_s)
        else:
            silent_s = 0.0
            if known_holder == holder.uuid:
                self._heard[path] = holder.uuid
        self._seen[path] = (holder.uuid, beat, now, silent_s)
        return silent_s >= self._patience_s * (1 - 1e-9)  # sums of steps round

    def has_heard(self, path: Path, holder: Holder) -> bool:
        """Whether `holder` of lease `path` has beaten since the first look."""
        return self._heard.get(path) == holder.uuid


def read(path: Path) -> Holder | None:
    """Who holds lease `path`, None when nobody does. A lease may outlive its holder: see `is_alive`."""
    try:
        return Holder.from_json(path.read_bytes())
    except FileNotFoundError:
        return None


def seen_alive(holder: Holder, slurm_alive: SlurmAlive | None = None) -> bool | None:
    """Whether the holder lives, as far as this system or SLURM can see it; None where neither can."""
    if holder.job is not None and holder.job == slurm.this_job() and holder.restart < slurm.restarts():
        return False  # an earlier life of this very job, ended by the requeue
    seen = None if holder.process is None else holder.process.lives()
    job = holder.owned_job()
    if seen is None and job is not None and slurm_alive is not None:
        seen = slurm_alive(job)
    return seen


def is_alive(path: Path, holder: Holder, slurm_alive: SlurmAlive | None = None, watch: Watch | None = None) -> bool:
    """Whether the holder of lease `path` lives. Where nothing tells, it does: without `watch` beats tell nothing."""
    seen = seen_alive(holder, slurm_alive)
    if seen is None:
        return watch is None or not watch.is_silent(path, holder)
    return seen


def seconds_since_beat(path: Path) -> float | None:
    """The age of the last beat at lease `path`, by file times and this clock: for people only, both may be wrong."""
    for file in (_beat_path(path), path):
        with suppress(OSError):
            return max(0.0, time.time() - file.stat().st_mtime)
    return None


class Lease:
    """A lease this process holds until `release`, or the end of the `with` block."""

    def __init__(self, path: Path, holder: Holder, beat_s: float) -> None:
        self.path, self.holder = path, holder
        self._released = threading.Event()
        self._beats = threading.Thread(target=self._beat, args=(beat_s,), name=f"lease {path.name}", daemon=True)
        self._beats.start()

    @staticmethod
    def acquire(
        path: Path,
        *,
        slurm_alive: SlurmAlive | None = None,
        watch: Watch | None = None,
        beat_s: float = BEAT_S,
        patience_s: float = 0.0,
    ) -> Lease | None:
        """The lease at `path`, or None while a living process holds it. Asks once and never waits for a holder.

        Keep one `watch` over repeated calls, so that holders elsewhere that died are noticed. Raises `UserError` when
        the folder could not be written to for `patience_s` seconds.
        """
        mine = Holder.current()

        def taken() -> bool:
            with written(path, mine.to_json()) as temporary:
                return link_if_free(temporary, path) or _take_over(path, temporary, slurm_alive, watch)

        try:
            free = patiently(taken, f"The lease {path} cannot be written", patience_s)
            return Lease(path, mine, beat_s) if free else None
        except OSError as error:
            raise _cannot_write(path, error) from error

    def held(self) -> bool:
        """Whether the lease is still this process's. Ask immediately before publishing a result."""
        holder = None if self._released.is_set() else read(self.path)
        return holder is not None and holder.uuid == self.holder.uuid

    def guard(self) -> None:
        """Raise `LostLease` unless the lease is still this process's. Ask before each file that a run leaves."""
        if not self.held():
            holder = read(self.path)
            now = f"is held by {holder}" if holder else "is gone, or the results folder was moved or removed"
            raise LostLease(f"The lease {self.path} {now}: this process stops, and what it computed does not count.")

    def release(self) -> None:
        """Give the lease up. One that was lost in the meantime stays with whoever has it."""
        if self._released.is_set():
            return
        self._released.set()
        self._beats.join(timeout=BEAT_S)  # a file server that hangs must not hang the end of a run
        with suppress(OSError):  # the lease of a process that ended counts as free
            holder = read(self.path)
            if holder is not None and holder.uuid == self.holder.uuid:
                _beat_path(self.path).unlink(missing_ok=True)
                self.path.unlink()

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _beat(self, beat_s: float) -> None:
        """Count until released or robbed. Written in place: NFS clients notice that sooner than a new file."""
        count = 0
        while not self._released.is_set():
            with suppress(OSError):  # the next beat may succeed
                holder = read(self.path)
                if holder is not None and holder.uuid != self.holder.uuid:
                    return
                number = os.open(_beat_path(self.path), os.O_WRONLY | os.O_CREAT, 0o666)
                try:
                    os.write(number, f"{self.holder.uuid} {count:012d}\n".encode())
                finally:
                    os.close(number)
            count += 1
            self._released.wait(beat_s)


def _take_over(path: Path, mine: Path, slurm_alive: SlurmAlive | None, watch: Watch | None) -> bool:
    """Put the lease file `mine` at `path`, if its holder is dead and nobody else does the same."""
    dead = read(path)
    if dead is None:  # given up this moment
        return link_if_free(mine, path)
    if is_alive(path, dead, slurm_alive, watch):
        return False
    claim = Lease.acquire(path.with_name(f"{path.name}.{dead.uuid}"), slurm_alive=slurm_alive, watch=watch)
    if claim is None:
        return False
    with claim:
        holder = read(path)
        if holder is None or holder.uuid != dead.uuid:
            return False
        mine.rename(path)
    remove_leftovers(path.parent, path.name)
    return True


def _beat_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.beat")


def _read_beat(path: Path) -> str:
    try:
        return _beat_path(path).read_text(errors="replace")
    except FileNotFoundError:
        return ""


def _cannot_write(path: Path, error: OSError) -> UserError:
    return UserError(
        f"The lease {path}, which keeps a run from being computed twice, cannot be written ({error.strerror}). "
        "Make room or make its folder writable, on a file system with hard links, or name another results folder with "
        "paths.results=FOLDER."
    )
