"""The read-only pages of Django's admin site: they ask ClickHouse, and write nothing."""
