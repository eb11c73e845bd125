"""Where a client is: country, region and city, by its address, which never leaves the memory of the process for it.

Three sources, asked in this order until one knows the address: a function of the app, a database, a service.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from otel_usage.dotted_path import load_dotted
from otel_usage.enrich.geo_answer import NOWHERE, read_answer
from otel_usage.enrich.geo_background import GeoBackground
from otel_usage.enrich.geo_database import GeoDatabase
from otel_usage.enrich.geo_endpoint import GeoEndpoint, address_to_send
from otel_usage.errors import SettingError
from otel_usage.log_throttle import LogThrottle, describe_error
from otel_usage.model import Attributes
from otel_usage.settings import Settings

logger = logging.getLogger(__name__)


class GeoReader:
    """Finds where addresses are, for one worker. Nothing here raises.

    Args:
        lookup: a function of the app; it may take its time.
        database: a file.
        endpoint: a service, which is told neither of visitors who opted out nor of addresses inside of networks.
        sends_whole_addresses: to the service; else only the network of an address.
    """

    def __init__(
        self,
        *,
        lookup: GeoBackground | None = None,
        database: GeoDatabase | None = None,
        endpoint: GeoBackground | None = None,
        sends_whole_addresses: bool = True,
    ) -> None:
        self._lookup = lookup
        self._database = database
        self._endpoint = endpoint
        self._sends_whole_addresses = sends_whole_addresses
        self._failure_log = LogThrottle()

    @property
    def has_sources(self) -> bool:
        """Whether there is anybody to ask."""
        return self.looks_ahead or self._database is not None

    @property
    def looks_ahead(self) -> bool:
        """Whether `look_ahead` has anything to do."""
        return self._lookup is not None or self._endpoint is not None

    def use_endpoint(self, url: str) -> None:
        """Ask a service from now on, unless the settings name one already: for an app that names its own.

        Args:
            url: as in the setting GEO_ENDPOINT.
        """
        if self._endpoint is None:
            self._endpoint = GeoBackground(GeoEndpoint(url))

    def prepare(self) -> None:
        """Load what the first look-up needs."""
        for source in (self._lookup, self._database, self._endpoint):
            if source is not None:
                source.prepare()

    def look_ahead(self, addresses: Mapping[str, bool]) -> None:
        """Get what is not known yet of the addresses of events that are about to be made; takes a second at most.

        Args:
            addresses: as they are before anything is masked, and whether others may be told of it.
        """
        try:
            if self._lookup is not None:
                self._lookup.look_ahead(addresses)
            if self._endpoint is not None:
                self._endpoint.look_ahead(self._to_send(addresses))
        except Exception as error:
            self._log(error)

    def find(self, address: str) -> Attributes:
        """Return where an address is; `NOWHERE` when nobody knows, or not yet. The dictionary is shared."""
        try:
            return self._find_here(address) or self._find_at_endpoint(address)
        except Exception as error:
            self._log(error)
            return NOWHERE

    def _find_here(self, address: str) -> Attributes:
        found = self._lookup.find(address) if self._lookup is not None else NOWHERE
        if not found and self._database is not None:
            found = self._database.find(address)
        return found

    def _find_at_endpoint(self, address: str) -> Attributes:
        if self._endpoint is None:
            return NOWHERE
        return self._endpoint.find(address_to_send(address, whole=self._sends_whole_addresses))

    def _to_send(self, addresses: Mapping[str, bool]) -> Iterable[str]:
        """Return what the service is asked for, each once."""
        unknown = (
            address_to_send(address, whole=self._sends_whole_addresses)
            for address, may_be_told in addresses.items()
            if may_be_told and not self._find_here(address)
        )
        return dict.fromkeys(filter(None, unknown))

    def _log(self, error: Exception) -> None:
        self._failure_log.log(
            logger, logging.ERROR, "Could not find where clients are: %s", describe_error(error)
        )


class GeoLookup:
    """Asks a function of the app.

    Args:
        named: a dotted path, or the function itself.
    """

    name = "OTEL_USAGE_GEO_LOOKUP"

    def __init__(self, named: object) -> None:
        self._named = named
        self._function: Any = None
        self._log = LogThrottle(3600)

    def prepare(self) -> None:
        """Load the function; where there is none, log that, and know nothing."""
        # Not earlier: the modules of an app must not be imported before they are instrumented.
        if self._function is None:
            self._function = self._load() or (lambda address: None)

    def ask(self, address: str) -> Attributes:
        """Return what the function says."""
        self.prepare()
        answer = self._function(address)
        found = read_answer(answer)
        if answer and not found:
            self._log.log(
                logger,
                logging.WARNING,
                "%s returned a %s in which no place is understood. Expected a mapping with country (two letters), "
                "region and city, or None",
                self.name,
                type(answer).__name__,
            )
        return found

    def _load(self) -> Any:
        named = self._named
        try:
            found: Any = load_dotted(named) if isinstance(named, str) else named
            if not callable(found) or inspect.iscoroutinefunction(found):
                kind = "coroutine function" if callable(found) else type(found).__name__
                raise SettingError(f"it is a {kind}, expected a plain function that takes an address")
        except SettingError as error:
            logger.error("%s: %s. Events go on without it.", self.name, error)
        except Exception as error:  # of the app's module
            logger.error(
                "%s cannot be loaded: %s. Events go on without it.", self.name, describe_error(error)
            )
        else:
            return found
        return None


def build_geo_reader(settings: Settings) -> GeoReader:
    """Return what finds where clients are, by the sources that the settings name."""
    return GeoReader(
        lookup=GeoBackground(GeoLookup(settings.geo_lookup)) if settings.geo_lookup else None,
        database=GeoDatabase(settings.geo_database) if settings.geo_database else None,
        endpoint=GeoBackground(GeoEndpoint(settings.geo_endpoint)) if settings.geo_endpoint else None,
        # Who keeps less of an address than the whole of it does not want to give the whole to others.
        sends_whole_addresses=settings.ip == "full",
    )
