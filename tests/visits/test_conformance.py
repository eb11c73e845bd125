"""The built-in managers, judged by the tests that other managers are judged by."""

from __future__ import annotations

import pytest

from otel_usage.visits.conformance import VisitManagerConformance
from otel_usage.visits.cookie import CookieVisitManager
from otel_usage.visits.cookieless import CookielessVisitManager
from otel_usage.visits.database import SqlalchemyVisitManager
from otel_usage.visits.session import SessionVisitManager
from tests.visits.cookieless_managers import runtime_directory
from tests.visits.databases import visit_database

__all__ = ["runtime_directory", "visit_database"]


class TestCookieVisitManager(VisitManagerConformance):
    def build_manager(self) -> CookieVisitManager:
        return CookieVisitManager()


class TestSessionVisitManager(VisitManagerConformance):
    def build_manager(self) -> SessionVisitManager:
        return SessionVisitManager()


class TestSqlalchemyVisitManager(VisitManagerConformance):
    @pytest.fixture(autouse=True)
    def use_database(self, visit_database: str) -> None:
        self.url = visit_database

    def build_manager(self) -> SqlalchemyVisitManager:
        return SqlalchemyVisitManager(self.url)

    def tolerance_seconds(self, timeout_seconds: float) -> float:
        return 0.0


@pytest.mark.usefixtures("runtime_directory")
class TestCookielessVisitManager(VisitManagerConformance):
    def build_manager(self) -> CookielessVisitManager:
        return CookielessVisitManager()

    def tolerance_seconds(self, timeout_seconds: float) -> float:
        return 0.0
