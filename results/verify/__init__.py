"""Packs from anyone, looked at before they are believed."""
