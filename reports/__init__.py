"""Self-contained HTML reports of sweeps, built from result files alone."""

if __name__ == "reports":  # in a checkout: another name of spike_ssm.reports, see src/spike_ssm/checkout.py
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
    from spike_ssm.checkout import alias

    alias(__name__)
