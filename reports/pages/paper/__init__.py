"""The papers' tables beside ours: what is published, which of our runs stand for it, and what may be said of both."""
