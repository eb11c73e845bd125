"""Who sent a request that was written down: as far as the settings believe it, and as they keep it."""

from __future__ import annotations

from otel_usage import attributes as names
from otel_usage.errors import SettingError
from otel_usage.instrumentation.address import AddressPolicy, AddressResolver
from otel_usage.instrumentation.redaction import bounded
from otel_usage.model import AttributeValue, RequestFacts
from otel_usage.settings import Settings


class ClientAddresses:
    """Tells the client from the proxies before it, under the settings of the app.

    Raises:
        SettingError: the settings cannot be used together.
    """

    def __init__(self, settings: Settings) -> None:
        self._resolver = AddressResolver(settings.trusted_proxies)
        self._policy = address_policy(settings)

    @property
    def keeps_everything(self) -> bool:
        """Whether addresses are kept as they are."""
        return self._policy.keeps_everything

    def attributes(
        self, peer: str, forwarded_for: str, *, is_whole: bool = True
    ) -> dict[str, AttributeValue]:
        """Return what is kept of the addresses of a request.

        Args:
            peer: who connected.
            forwarded_for: the X-Forwarded-For header, empty without one.
            is_whole: no part of that is missing; else nothing in it is believed, because it is read from its end.
        """
        believed = forwarded_for if is_whole else ""
        address = self._resolver.client_address(
            RequestFacts("", "", "", "", "", peer, forwarded_for=believed)
        )
        kept = self._policy.apply(address)
        attributes: dict[str, AttributeValue] = {names.CLIENT_ADDRESS: kept.address}
        if kept.hashed:
            attributes[names.CLIENT_ADDRESS_HASH] = kept.hashed
        if forwarded_for and self._policy.keeps_everything:
            attributes[names.PEER_ADDRESS] = bounded(peer, names.MAX_NAME)
            attributes[names.FORWARDED_FOR] = bounded(forwarded_for, names.MAX_TEXT)
        return attributes


def address_policy(settings: Settings) -> AddressPolicy:
    """Return what is kept of addresses.

    Raises:
        SettingError: the settings cannot be used together.
    """
    if settings.ip == "hashed" and not settings.secret:
        raise SettingError(
            "OTEL_USAGE_IP is 'hashed', which needs OTEL_USAGE_SECRET: the one that the app has, or the same "
            "address gets another hash here"
        )
    return AddressPolicy(settings.ip, settings.secret or "")
