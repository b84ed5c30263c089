"""The processes of one worker: the first one leads, takes runs and stores results; the others train along.

They find each other as `torchrun` arranges it, by the environment variables RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR
and MASTER_PORT, which submitit's jobs of several tasks are given here.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import submitit
import torch
import torch.distributed
from submitit.helpers import TorchDistributedEnvironment
from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from spike_ssm.harness.training.data_parallel import BY_ITSELF, Processes
from spike_ssm.results.errors import UserError, sentence

SECONDS_BETWEEN_CALLS = 0.05
MEETING = timedelta(minutes=10)
"""How long one process waits for another at the most: one may start late or write a large checkpoint."""

KEPT = "The last checkpoint is kept: run the sweep again with retry=true."


class ProcessGroup:
    """One process alone, which leads nobody; see `assemble` for several."""

    def __init__(self, rank: int = 0, count: int = 1, store: Store | None = None) -> None:
        self.rank = rank
        self.count = count
        self.broken = False  # a run has failed: the processes may not be in step any more
        self._store = store
        self._round = 0

    @property
    def leads(self) -> bool:
        """Whether this process takes the runs."""
        return self.rank == 0

    def call(self, run_id: str) -> None:
        """Have the other processes train this run along; called by the leader."""
        self._announce(run_id)

    def dismiss(self) -> None:
        """Tell the other processes that no run is left; called by the leader."""
        self._announce("")

    def _announce(self, run_id: str) -> None:
        if self._store is not None:
            self._round += 1
            self._store.set(f"{self._round}/run", run_id)

    def called(self) -> str | None:
        """The next run that the leader calls for, None when none is left or no leader; called by the others."""
        assert self._store is not None
        self._round += 1
        key = f"{self._round}/run"
        try:
            while not self._store.check([key]):
                time.sleep(SECONDS_BETWEEN_CALLS)  # so that signals are seen, which a wait for the key would hold up
            return self._store.get(key).decode() or None
        except torch.distributed.DistError:
            return None

    @contextmanager
    def together(self) -> Iterator[Processes]:
        """While this block runs, in every process of the group, they can train together.

        Raises `UserError` with what the first process to fail had to say, in all of them.
        """
        if self._store is None:
            with BY_ITSELF as alone:
                yield alone
            return
        try:
            torch.distributed.init_process_group(
                _backend(), timeout=MEETING, world_size=self.count, rank=self.rank, store=self._of_round()
            )
            yield Processes(self.rank, self.count)
        except Exception as error:
            if (said := self.fail(error)) is not None:
                raise UserError(said) from error
            if _is_of_connection(error):
                raise UserError(
                    f"Of the {self.count} processes that trained this run, process {self.rank} lost another one; the "
                    f"machine may have run out of memory. {KEPT} ({error})"
                ) from error
            raise
        finally:
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()

    def fail(self, error: Exception) -> str | None:
        """End the group's work on the run; says what another process did that failed before, None if none did."""
        self.broken = True
        mine = f"In process {self.rank} of {self.count}: {sentence(error)}"
        first: str = self._of_round().compare_set("error", "", mine).decode()
        return None if first == mine else first

    def _of_round(self) -> Store:
        assert self._store is not None
        return PrefixStore(str(self._round), self._store)


SINGLE = ProcessGroup()


def assemble(job: submitit.JobEnvironment | None = None) -> ProcessGroup:
    """The group that this process was started as a part of: by submitit, as a task of `job`, or by torchrun."""
    if job is not None and job.num_tasks > 1:
        _describe(job)
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return SINGLE
    rank = int(os.environ["RANK"])
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    return ProcessGroup(rank, count, _meet(rank))


def _describe(job: submitit.JobEnvironment) -> None:
    """Say in torchrun's variables what submitit says in its own."""
    described = TorchDistributedEnvironment()
    if job.num_nodes == 1:  # nobody else needs to reach them
        described.master_addr = "127.0.0.1"
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    described.export(set_cuda_visible_devices=False, overwrite=True)


def _meet(rank: int) -> Store:
    """What the first process offers and all can read; torchrun offers it itself."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        store: Store = next(rendezvous("env://"))[0]
        return store
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    if rank > 0:
        return TCPStore(address, port, timeout=MEETING)
    listener = socket.create_server((address, port))  # TCPStore's own would listen to every network
    return TCPStore(address, port, is_master=True, master_listen_fd=listener.detach())


def _is_of_connection(error: Exception) -> bool:
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error)  # whose errors have no type


def _backend() -> str:
    return "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
