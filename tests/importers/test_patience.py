"""What is waited for, and what is not."""

from __future__ import annotations

import pytest

from otel_usage.errors import ClickHouseUnavailable
from otel_usage.importers.patience import until_taken


def test_an_account_without_rights_is_not_waited_for() -> None:
    refusals = iter([ClickHouseUnavailable("Not enough privileges", 497)])

    def ask() -> None:
        raise next(refusals)

    with pytest.raises(ClickHouseUnavailable, match="Not enough privileges"):
        until_taken(ask)
