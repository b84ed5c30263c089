"""YAML documents below sweeps/ and below a folder of the user's, found by group and name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from spike_ssm.results.errors import UserError

_EXAMPLES = {"sweep": "grid:", "study": "sweep: NAME", "tune": "optim.lr: {low: 0.001, high: 0.1, log: true}"}


class Documents:
    """The documents of several folders, GROUP/NAME.yaml; a folder's go before those of the folders after it."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = list(folders)

    def options(self, group: str) -> list[str]:
        """Names that `group` offers."""
        return sorted({path.stem for folder in self._folders for path in (folder / group).glob("*.yaml")})

    def load(self, group: str, name: str) -> dict[str, Any]:
        """The content of GROUP/NAME.yaml, which is no part of a run's configuration, as plain containers."""
        for folder in self._folders:
            path = folder / group / f"{name}.yaml"
            if path.is_file():
                try:
                    content = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
                except Exception as error:
                    reason = " ".join(str(error).split()).rstrip(".")
                    raise UserError(f"The {group} file {path} cannot be read: {reason}.") from error
                if not isinstance(content, dict):
                    raise UserError(f"The {group} file {path} must hold keys and values, such as `{_EXAMPLES[group]}`.")
                return {str(key): value for key, value in content.items()}
        raise UserError(f"There is no {group} {name!r}; choose one of {', '.join(self.options(group))}.")
