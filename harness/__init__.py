"""Sweeps: from a Hydra config to runs, jobs and result files."""

if __name__ == "harness":  # in a checkout: another name of spike_ssm.harness, see src/spike_ssm/checkout.py
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
    from spike_ssm.checkout import alias

    alias(__name__)
