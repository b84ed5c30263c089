"""One run as a job: claimed, computed, stored."""
