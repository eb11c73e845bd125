"""The life cycle of a tracked request, shared by the adapters of all frameworks."""
