"""A MaxMind DB file: where an address is, by a look into memory.

The file is read whole. A file that is mapped instead takes the process down when somebody writes over it in place,
as a download does; and the readers' own extension, which is ten times as fast as pure Python, takes a path alone, so
it gets that of an anonymous file where the system has such.
"""

from __future__ import annotations

import logging
import os
import shutil
import stat
import time
from collections.abc import Callable
from datetime import datetime, timezone
from functools import lru_cache
from itertools import islice
from types import ModuleType
from typing import TYPE_CHECKING

from otel_usage import attributes as names
from otel_usage.enrich.geo_answer import NOWHERE, read_answer
from otel_usage.errors import SettingError
from otel_usage.log_throttle import LogThrottle
from otel_usage.model import Attributes

if TYPE_CHECKING:
    from maxminddb import Reader

logger = logging.getLogger(__name__)

CHECK_SECONDS = 60.0
"""How long a file that was replaced may go unseen."""
_CACHED_ADDRESSES = 16_384
_SETTING = "OTEL_USAGE_GEO_DATABASE"
_METADATA_BEGINS = b"\xab\xcd\xefMaxMind.com"
_METADATA_BYTES = 128 * 1024
"""The last bytes of the file, in which its metadata must begin."""
_NETWORKS_TRIED = 2000


class GeoDatabase:
    """Looks addresses up in a file that may be missing, and may be replaced at any time.

    For one thread. What is wrong with the file is logged once; the last one that could be read stays in force.

    Args:
        path: of the file.
        clock: seconds, for the next look at the file.
    """

    def __init__(self, path: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._reader: Reader | None = None
        self._identity: tuple[int, ...] = ()
        self._fault = ""
        self._next_check = float("-inf")
        self._damage_log = LogThrottle(3600)
        self._find = lru_cache(maxsize=_CACHED_ADDRESSES)(self._look_up)

    def prepare(self) -> None:
        """Read the file, or log why that cannot be done."""
        self._check()

    def find(self, address: str) -> Attributes:
        """Return where an address is; `NOWHERE` when the database does not know."""
        if self._clock() >= self._next_check:
            self._check()
        return self._find(address)

    def _look_up(self, address: str) -> Attributes:
        if self._reader is None:
            return NOWHERE
        try:
            return read_answer(self._reader.get(address))
        except ValueError:  # no address, or one of IPv6 where the database has IPv4 alone
            pass
        except Exception:  # of a damaged file the readers raise what they like
            self._damage_log.log(
                logger, logging.ERROR, "%s is '%s', which is damaged. Download it again", _SETTING, self._path
            )
        return NOWHERE

    def _check(self) -> None:
        self._next_check = self._clock() + CHECK_SECONDS
        try:
            identity = _identity_of(self._path)
            if identity == self._identity:
                return
            reader = open_database(self._path)
            if _identity_of(self._path) != identity:
                return  # somebody writes to it: the next look finds it whole
        except SettingError as error:
            if str(error) != self._fault:
                self._fault = str(error)
                consequence = (
                    "Going on with the one that was read before"
                    if self._reader is not None
                    else "Events go on without a country; a file that can be read is found within a minute"
                )
                logger.error("%s. %s.", error, consequence)
            return
        if self._fault:
            logger.info("%s can be read again", _SETTING)
        # The old reader is not closed here: it goes when nobody uses it any more.
        self._reader, self._identity, self._fault = reader, identity, ""
        self._find.cache_clear()


def open_database(path: str) -> Reader:
    """Return a reader of the whole file in memory.

    Raises:
        SettingError: there is no such file, it is no such database, or the package that reads it is missing.
    """
    try:
        import maxminddb
    except ImportError:
        raise SettingError(
            f"{_SETTING} needs maxminddb. Install it with: pip install 'otel-usage[geo]'"
        ) from None
    _identity_of(path)
    try:
        return _read_into_memory(maxminddb, path)
    except OSError as error:
        raise _unreadable(path, error) from None
    except Exception as error:  # of a damaged file the readers raise what they like
        raise SettingError(
            f"{_SETTING} is '{path}', which is no whole MaxMind DB file ({type(error).__name__}). Download it "
            "again, and unpack it if its name ends in .gz"
        ) from None


def describe_database(path: str) -> str:
    """Return the type of a database and when it was built, such as `GeoLite2-City of 2026-11-17`.

    Raises:
        SettingError: it cannot be used, or names no country for any of its first networks.
    """
    reader = open_database(path)
    metadata = reader.metadata()
    networks = islice(reader, _NETWORKS_TRIED)
    if not any(names.COUNTRY in read_answer(record) for _network, record in networks):
        raise SettingError(
            f"{_SETTING} is '{path}', of type {metadata.database_type}, in which no countries were found. "
            "Expected one such as GeoLite2-Country or dbip-city-lite"
        )
    built = datetime.fromtimestamp(metadata.build_epoch, timezone.utc)
    return f"{metadata.database_type} of {built:%Y-%m-%d}"


def _read_into_memory(maxminddb: ModuleType, path: str) -> Reader:
    _check_end(path)
    if hasattr(os, "memfd_create"):
        try:
            return _open_copy(maxminddb, path)
        except ValueError:  # there is no extension
            pass
    reader: Reader = maxminddb.open_database(path, maxminddb.MODE_MEMORY)
    return reader


def _check_end(path: str) -> None:
    """Refuse what is no such database before all of it is read: a wrong path may name anything."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(size - _METADATA_BYTES, 0))
        if _METADATA_BEGINS not in file.read(_METADATA_BYTES):
            raise EOFError


def _open_copy(maxminddb: ModuleType, path: str) -> Reader:
    with open(path, "rb") as file, open(os.memfd_create("geo"), "wb") as copy:
        shutil.copyfileobj(file, copy, 1024**2)
        copy.flush()
        # The reader maps it, and needs neither the name nor the descriptor any more.
        reader: Reader = maxminddb.open_database(f"/proc/self/fd/{copy.fileno()}", maxminddb.MODE_MMAP_EXT)
    return reader


def _identity_of(path: str) -> tuple[int, ...]:
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            # Reading a pipe would never end.
            raise OSError(0, "it is no file")
    except (OSError, ValueError) as error:  # ValueError of a path with a zero byte
        raise _unreadable(path, error) from None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _unreadable(path: str, error: Exception) -> SettingError:
    reason = getattr(error, "strerror", None) or type(error).__name__
    return SettingError(
        f"{_SETTING} is '{path}', which cannot be read ({reason.lower()}). Put a MaxMind DB file there that the app may read"
    )
