"""Old data as events: access logs, and the tables of django-trackable, django-djaffar and TurboGears.

Each of them is a source of chunks (`chunk.py`); `run.py` hands them to the store (`store.py`), which inserts what is
not there yet. Nothing is remembered beside ClickHouse: an import that was killed is run again.
"""
