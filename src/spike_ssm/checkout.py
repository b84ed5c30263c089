"""Other names in a checkout: `harness`, `models`, `reports` and `results` are spike_ssm's packages, the same modules.

So `python -m harness.sweep` and `from models.ops.refractory_lif import refractory_lif` work there as they are written,
and nothing exists twice: a second copy would register its operators again, and its classes would not be ours. The four
`__init__.py` call `alias`; an installed package has no such names, and not this file.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType, TracebackType

_ALIASED: set[str] = set()


def alias(name: str) -> None:
    """Make the top-level name `name`, and the modules below it, those of `spike_ssm.NAME`."""
    if not _ALIASED:
        sys.meta_path.insert(0, _Finder())
        if sys.argv[0] == "-m":  # a command, whose own files are imported next
            sys.excepthook = _without_traceback_of_ctrl_c
    _ALIASED.add(name)
    sys.modules[name] = importlib.import_module(f"spike_ssm.{name}")


def _without_traceback_of_ctrl_c(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the error as Python does; of Ctrl-C, which nothing in a command that works lets through, a line."""
    if issubclass(kind, KeyboardInterrupt):
        print("Stopped before it began.", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


class _Finder(MetaPathFinder):
    """Finds `models.ops` as `spike_ssm.models.ops`."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:  # noqa: ARG002
        if name.partition(".")[0] not in _ALIASED or "." not in name:
            return None
        real = importlib.util.find_spec(f"spike_ssm.{name}")
        return None if real is None else _spec(name, real)


def _spec(name: str, real: ModuleSpec) -> ModuleSpec:
    is_package = real.submodule_search_locations is not None
    return ModuleSpec(name, _Loader(real), origin=real.origin, is_package=is_package)


class _Loader(InspectLoader):
    """Gives the real module; for `python -m` only its code, which then runs as `__main__`."""

    def __init__(self, real: ModuleSpec) -> None:
        self._real = real

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002
        return importlib.import_module(self._real.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._real  # the import system has just put the other name's there

    def get_source(self, name: str) -> str | None:  # noqa: ARG002
        loader = self._real.loader
        return loader.get_source(self._real.name) if isinstance(loader, InspectLoader) else None

    def get_code(self, name: str) -> CodeType | None:  # noqa: ARG002
        loader = self._real.loader
        return loader.get_code(self._real.name) if isinstance(loader, InspectLoader) else None
