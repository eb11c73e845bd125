"""Benchmarks: tables of ratios between variants that ran interleaved on the same machine. None passes or fails."""
