"""Spiking state space models: neurons, their operators, S4D and the networks built from them."""

if __name__ == "models":  # in a checkout: another name of spike_ssm.models, see src/spike_ssm/checkout.py
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
    from spike_ssm.checkout import alias

    alias(__name__)
else:
    from spike_ssm.models.kernel_cache import keep_kernels

    keep_kernels()
