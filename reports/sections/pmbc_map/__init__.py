"""The section of the measurement pmbc_map."""
