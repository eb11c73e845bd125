"""Copies a database of otel_usage into another one: every event and every summary once, however often it is run."""

from otel_usage.copying.run import copy_database

__all__ = ["copy_database"]
