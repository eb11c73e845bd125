"""`otel-usage serve`: one process that owns an in-process ClickHouse engine and speaks HTTP for it.

Nothing here imports the engine when it is imported: `serve()` does, so that the command line can say
what to install when the extra is missing.
"""
