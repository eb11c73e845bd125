"""Visits: who comes, and when a new visit begins."""
