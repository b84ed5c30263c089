"""What settings may say where others read it: in sbatch's files, in paths, in a terminal.

Settings also come from manifests and sweep files that somebody else wrote. A batch file is a shell script whose
options are comment lines: a line break in one of them would be a command, run as whoever submits the file.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping

from spike_ssm.results.names import has_control_characters

NAME = re.compile(r"\w[\w.,+@-]*", re.ASCII)
"""Pattern of the name of a partition, an account or the like, or of several with commas."""

EXPRESSION = re.compile(r"(?!-)[\w.,:=+@*&|()\[\]-]+", re.ASCII)
"""Pattern of what may be said of nodes and times, such as `node[1-3]`, `a100&nvme` or `now+1hour`."""

EXTRA = (
    *("acctg-freq", "begin", "cluster-constraint", "comment", "contiguous", "core-spec", "cores-per-socket"),
    *("cpu-freq", "deadline", "delay-boot", "dependency", "distribution", "exclude", "exclusive", "extra-node-info"),
    *("gpu-bind", "gpu-freq", "gres", "gres-flags", "hint", "hold", "kill-on-invalid-dep", "licenses", "mail-type"),
    *("mail-user", "mcs-label", "mem-bind", "mincpus", "network", "nice", "no-kill", "nodelist", "oversubscribe"),
    *("power", "prefer", "priority", "profile", "propagate", "reboot", "reservation", "sockets-per-node", "spread-job"),
    *("switches", "thread-spec", "threads-per-core", "time-min", "tmp", "tres-bind", "use-min-nodes"),
    *("wait-all-nodes", "wckey"),
)
"""sbatch's options, by their long names, that neither replace what is asked for here, nor name a program or a file."""


def check_one_line(label: str, text: object) -> None:
    """Raise ValueError where `text` holds control characters."""
    if has_control_characters(str(text)):
        raise ValueError(
            f"{label} must hold no line breaks or other control characters, but it is {reprlib.repr(text)}."
        )


def check_asked(names: Mapping[str, str | None], constraint: str | None, extra: Mapping[str, str]) -> None:
    """Raise ValueError where something that sbatch is asked for is not of its pattern, or is none of `EXTRA`.

    names: partition, account and so on, by the launcher's field.
    """
    for field, name in names.items():
        if name is not None and not NAME.fullmatch(name):
            raise ValueError(
                f"launcher.{field} must be of letters, digits and _ . , + @ - and begin with none of the last five, "
                f"but it is {reprlib.repr(name)}."
            )
    for key in extra:
        if key not in EXTRA:
            raise ValueError(
                f"launcher.extra cannot hold {reprlib.repr(key)}; of sbatch's options it takes {', '.join(EXTRA)}. "
                "Partition, account, time, memory, CPUs and GPUs are settings of launcher itself."
            )
    said = {"constraint": constraint, **{f"extra.{key}": value for key, value in extra.items()}}
    for field, value in said.items():
        if value is not None and not EXPRESSION.fullmatch(value):
            raise ValueError(
                f"launcher.{field} must be of letters, digits and _ . , : = + @ * & | ( ) [ ] - and not begin with -, "
                f"but it is {reprlib.repr(value)}."
            )
