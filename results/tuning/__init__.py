"""A tuning: what it chose, and the file that it leaves."""
