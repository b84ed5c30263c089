"""The contract between the harness, which writes results, and the reports, which read them."""
