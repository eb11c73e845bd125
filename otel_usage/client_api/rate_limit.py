"""How often one address may call: a bucket of tokens for each, in the memory of the process."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address

from otel_usage.forks import call_in_children

_MAX_ADDRESSES = 10_000


class RateLimiter:
    """Lets an address make a minute's worth of calls at once, and as many again in each minute.

    Of too many addresses the one that was here longest ago is forgotten, and begins with a full bucket.
    """

    def __init__(
        self,
        calls_per_minute: int,
        *,
        max_addresses: int = _MAX_ADDRESSES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make the buckets.

        Args:
            calls_per_minute: tokens of a full bucket, filled again within a minute; 0 for no limit.
            max_addresses: how many are remembered.
            clock: seconds; only differences matter.
        """
        self._capacity = float(calls_per_minute)
        self._per_second = calls_per_minute / 60
        self._max_addresses = max_addresses
        self._clock = clock
        self._reset()
        # A forked child must not wait for a lock that its parent holds.
        call_in_children(self._reset)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str | bytes, tuple[float, float]] = OrderedDict()

    def seconds_to_wait(self, address: str) -> float:
        """Take a token; return 0 when there was one, else the seconds until there is.

        Args:
            address: in its usual form; an unknown one, which is empty, is never limited.
        """
        if not self._capacity or not address:
            return 0.0
        key = _network_of(address)
        with self._lock:
            now = self._clock()
            tokens, since = self._buckets.pop(key, (self._capacity, now))
            tokens = min(self._capacity, tokens + (now - since) * self._per_second)
            is_allowed = tokens >= 1.0
            self._buckets[key] = (tokens - 1.0 if is_allowed else tokens, now)
            if len(self._buckets) > self._max_addresses:
                self._buckets.popitem(last=False)
        return 0.0 if is_allowed else (1.0 - tokens) / self._per_second


def _network_of(address: str) -> str | bytes:
    """Return an IPv4 address as it is, and of an IPv6 one the /64: a client has all of that to call from."""
    return IPv6Address(address).packed[:8] if ":" in address else address
