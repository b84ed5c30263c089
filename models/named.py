"""Classes of the user's, named in a configuration by a dotted path such as `my_neurons.Delta`, with `DeltaSettings`.

They are found as Python finds modules, and last in the folder that the command was started in: never in a results
folder, nor in one that a file names. What is imported is executed, so only a configuration of the user's names them.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import os
import sys
from pathlib import Path
from typing import TypeVar

CODE = "SPIKE_SSM_CODE"
"""Environment variable that tells workers the folder that the command was started in."""

T = TypeVar("T")
S = TypeVar("S")


def is_dotted(name: str) -> bool:
    """Whether a name is that of a class of the user's; names of this package have no dots."""
    return "." in name


def code_folder() -> str:
    """The folder in which classes of the user's are looked for last: where the command was started."""
    return os.environ.get(CODE) or str(Path.cwd())


def named_class(path: str, base: type[T], base_settings: type[S]) -> tuple[type[T], type[S]]:
    """The class that `path` names and its settings, the dataclass beside it whose name ends in `Settings`.

    Raises ValueError where it cannot be imported or does not have the interface of `base`.
    """
    what = base.__name__.lower()
    module_name, _, name = path.rpartition(".")
    folder = code_folder()
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever code of a user's raises
        raise ValueError(
            f"{path} cannot be imported ({type(error).__name__}: {error}): it must be installed, or lie in the folder "
            f"that the command is started in, {folder}."
        ) from error
    found, settings = getattr(module, name, None), getattr(module, f"{name}Settings", None)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ValueError(f"{path} is no {what}: it must be a subclass of {base.__module__}.{base.__name__}.")
    if not (isinstance(settings, type) and issubclass(settings, base_settings)) or not _is_own_dataclass(settings):
        raise ValueError(
            f"{path} has no settings: beside it there must be a dataclass {name}Settings, a subclass of "
            f"{base_settings.__module__}.{base_settings.__name__}."
        )
    if lacking := [each for each in dir(found) if getattr(getattr(found, each), "__isabstractmethod__", False)]:
        raise ValueError(f"{path} is no whole {what}: it lacks {', '.join(lacking)}.")
    return found, settings


def _is_own_dataclass(settings: type) -> bool:
    """Whether the class itself is a dataclass, and not only a class that it derives from."""
    return "__dataclass_fields__" in vars(settings)


@functools.cache
def fingerprint(name: str) -> str:
    """Twelve hexadecimal digits for the source of a class of the user's, else nothing.

    They stand for the file of its module, or for all Python files of the package that it is in, comments included.
    Raises ValueError where there is no such module.
    """
    if not is_dotted(name):
        return ""
    top = name.partition(".")[0]
    try:
        package = importlib.import_module(top)
    except ImportError as error:
        raise ValueError(f"{name} cannot be imported ({error}).") from error
    folders = [Path(folder) for folder in getattr(package, "__path__", [])]
    files = [(path.relative_to(folder).as_posix(), path) for folder in folders for path in folder.rglob("*.py")]
    if not folders and package.__file__:
        files = [(f"{top}.py", Path(package.__file__))]
    digest = hashlib.sha256()
    for place, path in sorted(files):
        digest.update(place.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
