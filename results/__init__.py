"""The contract between the harness, which writes results, and the reports, which read them."""

if __name__ == "results":  # in a checkout: another name of spike_ssm.results, see src/spike_ssm/checkout.py
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
    from spike_ssm.checkout import alias

    alias(__name__)
