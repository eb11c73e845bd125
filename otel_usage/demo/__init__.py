"""The demo: a small shop, visitors whose every request is known, and a check of each number that comes out."""
