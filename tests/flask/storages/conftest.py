from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from otel_usage.flask.storages import Delivery


@pytest.fixture
def deliver() -> Iterator[Callable[..., Delivery]]:
    """Make deliveries that are closed when the test ends."""
    made: list[Delivery] = []

    def make(*storages: object, **options: object) -> Delivery:
        made.append(Delivery(list(storages), **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for delivery in made:
        delivery.close(0)
