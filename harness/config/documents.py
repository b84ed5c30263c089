"""YAML documents below sweeps/ and below a folder of the user's, found by group and name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from spike_ssm.harness.config.mistakes import of_composition
from spike_ssm.harness.system.root import ROOT
from spike_ssm.results.errors import UserError
from spike_ssm.results.names import check_name, instead, texts_in

SWEEPS = ROOT / "sweeps"
"""The packaged configuration root."""

_EXAMPLES = {"sweep": "grid:", "study": "sweeps: [NAME]", "tune": "optim.lr: {low: 0.001, high: 0.1, log: true}"}

_REFERENCE = re.compile(r"\$\{(oc\.select:)?[^{}:]*\}")


def check_references(where: str, content: Any) -> None:
    """Raise `UserError` where a text refers to anything but other keys, as `${oc.env:HOME}` does to the environment.

    Whatever a configuration holds is stored with results and shown on pages, which are passed on.
    """
    for text in texts_in(content):
        inner = text
        while (without := _REFERENCE.sub("", inner)) != inner:
            inner = without
        if "${" in inner:
            raise UserError(f"{where}: {text!r} refers to something other than a key of its own; write the value out.")


def config_folders(config_dir: Path | None) -> list[Path]:
    """The folder of the user's, if any, and the packaged one. Raises `UserError`."""
    if config_dir is not None and not config_dir.is_dir():
        raise UserError(f"--config-dir {config_dir} is not a folder. Name one that holds sweep/NAME.yaml files.")
    return [*([config_dir.absolute()] if config_dir else []), SWEEPS]


class Documents:
    """The documents of several folders, GROUP/NAME.yaml; a folder's go before those of the folders after it."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = list(folders)

    @property
    def has_users(self) -> bool:
        """Whether a folder is of the user's."""
        return self._folders != [SWEEPS]

    def options(self, group: str) -> list[str]:
        """Names that `group` offers."""
        return sorted({path.stem for folder in self._folders for path in (folder / group).glob("*.yaml")})

    def find(self, group: str, name: str) -> Path:
        """The file GROUP/NAME.yaml. Raises `UserError` where there is none, with the names that there are."""
        check_name(group, name)
        for folder in self._folders:
            path = folder / group / f"{name}.yaml"
            if path.is_file():
                return path
        raise UserError(f"There is no {group} {name!r}; {instead(name, self.options(group))}")

    def plain(self, group: str, name: str) -> dict[str, Any]:
        """The content of GROUP/NAME.yaml as it is written, with its references; nothing where it cannot be read."""
        try:
            content = OmegaConf.to_container(OmegaConf.load(self.find(group, name)))
        except Exception:  # whatever the library raises, who composes the file says what is wrong with it
            return {}
        return {str(key): value for key, value in content.items()} if isinstance(content, dict) else {}

    def load(self, group: str, name: str) -> dict[str, Any]:
        """The content of GROUP/NAME.yaml, which is no part of a run's configuration, as plain containers."""
        path = self.find(group, name)
        try:
            loaded = OmegaConf.load(path)
            check_references(str(path), OmegaConf.to_container(loaded))
            content = OmegaConf.to_container(loaded, resolve=True)
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"The {group} file {path} cannot be read: {of_composition(error)}") from error
        if not isinstance(content, dict):
            raise UserError(f"The {group} file {path} must hold keys and values, such as `{_EXAMPLES[group]}`.")
        return {str(key): value for key, value in content.items()}
