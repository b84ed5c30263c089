"""Networks and neurons in NIR, the Neuromorphic Intermediate Representation: written, read and run.

Source: Pedersen et al. 2024 (doi 10.1038/s41467-024-52259-9), whose package `nir` is an optional one.
docs/interchange.md has the equations of every node.
"""

try:
    import nir as _  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"NIR needs the package {error.name}, which is not installed. Install it with pip install 'spike-ssm[nir]'.",
        name=error.name,
    ) from error

from spike_ssm.models.nir.export import to_nir
from spike_ssm.models.nir.files import read_nir, write_nir
from spike_ssm.models.nir.network import NIRNetwork

__all__ = ["NIRNetwork", "read_nir", "to_nir", "write_nir"]
