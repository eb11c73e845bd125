"""What is held of a person: removed from every table and state, or written out."""

from otel_usage.privacy.export import export_person, open_private_file
from otel_usage.privacy.forget import ForgetReport, forget, preview
from otel_usage.privacy.selector import Selector, parse_selector

__all__ = [
    "ForgetReport",
    "Selector",
    "export_person",
    "forget",
    "open_private_file",
    "parse_selector",
    "preview",
]
