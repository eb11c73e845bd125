"""Every setting, declared once: its name, type, default and meaning.

Order: keyword argument, environment variable (`OTEL_USAGE_` and the field's name in capitals), default.
An empty variable counts as unset, as the OpenTelemetry specification asks.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from otel_usage.errors import SettingError

logger = logging.getLogger(__name__)

PREFIX = "OTEL_USAGE_"

TrustedProxies: TypeAlias = int | tuple[IPv4Network | IPv6Network, ...]
"""A number of hops, or the networks whose word is believed; an empty tuple believes only the peer."""

Patterns: TypeAlias = tuple[re.Pattern[str], ...]

_COOKIE_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_COOKIE_DOMAIN = re.compile(r"\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_COOKIE_PATH = re.compile(r"/[^;,\x00-\x20\x7f]*")


def _text(text: str) -> str:
    return text


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("expected true or false")
    return text.lower() == "true"


def _choices(*choices: str) -> Callable[[str], tuple[str, ...]]:
    expected = "expected one or more of these, separated by commas: " + ", ".join(choices)

    def parse(text: str) -> tuple[str, ...]:
        words = tuple(dict.fromkeys(word.strip().lower() for word in text.split(",") if word.strip()))
        if not words or not set(words) <= set(choices):
            raise ValueError(expected)
        return words

    return parse


def _seconds(*, at_most: float) -> Callable[[str], float]:
    expected = f"expected a number of seconds above 0 and up to {at_most:.0f}"

    def parse(text: str) -> float:
        # isascii: float() would also take other scripts' digits and underscores.
        try:
            number = float(text) if text.isascii() and "_" not in text else math.nan
        except ValueError:
            number = math.nan
        if not 0.0 < number <= at_most:  # also refuses nan
            raise ValueError(expected)
        return number

    return parse


def _whole_number(*, at_least: int, at_most: int) -> Callable[[str], int]:
    expected = f"expected a whole number from {at_least} to {at_most}"

    def parse(text: str) -> int:
        # isascii: int() would also take other scripts' digits and underscores.
        if not (text.isascii() and text.isdigit() and len(text) < 16) or not at_least <= int(text) <= at_most:
            raise ValueError(expected)
        return int(text)

    return parse


def _choice(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        for choice in choices:
            if text.lower() == choice.lower():
                return choice
        raise ValueError("expected one of: " + ", ".join(choices))

    return parse


def _matching(pattern: re.Pattern[str], expected: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"expected {expected}")
        return text

    return parse


def _patterns(text: str) -> Patterns:
    try:
        return tuple(re.compile(part.strip()) for part in text.split(",") if part.strip())
    except re.error as error:
        raise ValueError(f"expected comma-separated regular expressions ({error})") from None


def _trusted_proxies(text: str) -> TrustedProxies:
    if text.isascii() and text.isdigit() and len(text) < 4:
        return int(text)
    try:
        return tuple(ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError(
            "expected networks such as 10.0.0.0/8,::1 or the number of proxies in front of the app"
        ) from None


def _dsn(text: str) -> str:
    try:
        parts = urlsplit(text)
        valid = (parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0) or (
            parts.scheme == "chdb" and not parts.netloc and len(parts.path) > 1
        )
    except ValueError:
        valid = False
    if not valid:
        # The value is not shown: it may hold a password.
        raise ValueError("expected http(s)://user:password@host:port/database or chdb:///path/database")
    return text


def _database(text: str) -> str:
    # Only the form; which databases there are, SQLAlchemy knows.
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_+]*://[^\r\n]*", text):
        # The value is not shown: it may hold a password.
        raise ValueError(
            "expected a URL of SQLAlchemy's such as postgresql+psycopg://user:password@host/database"
        )
    return text


def _endpoint(text: str) -> str:
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("expected an address such as http://localhost:4318")
    return text.rstrip("/")


def _setting(
    default: Any,
    meaning: str,
    parse: Callable[[str], Any],
    *,
    secret: bool = False,
    takes_objects: bool = False,
) -> Any:
    metadata = {"meaning": meaning, "parse": parse, "secret": secret, "takes_objects": takes_objects}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings in force. Build it with `Settings.load`."""

    disabled: bool = _setting(False, "Record nothing, set no cookie, start no thread.", _boolean)
    dsn: str | None = _setting(
        None,
        "ClickHouse: http(s)://user:password@host:port/database, or chdb:///path/database for scripts.",
        _dsn,
        secret=True,
    )
    exporter: str | None = _setting(
        None,
        "clickhouse (the default when DSN is set), otlp (the default otherwise), console, none (annotate "
        "spans only), or a name of the entry point group otel_usage_exporter.",
        _text,
    )
    otlp_endpoint: str | None = _setting(
        None,
        "Where the otlp exporter sends. Default: OTEL_EXPORTER_OTLP_ENDPOINT if its protocol is HTTP, "
        "else http://localhost:4318.",
        _endpoint,
    )
    visit_manager: Any = _setting(
        "cookie",
        "Who finds the visit of a request: cookie, cookieless, session, sqlalchemy, a name of the entry point group "
        "otel_usage_visit_manager, or a dotted path; by hand also an instance.",
        _text,
        takes_objects=True,
    )
    visit_sources: tuple[str, ...] = _setting(
        ("cookie",),
        "Where the visit's ticket is looked for, in this order: cookie, form. Form takes it from the query or a form too.",
        _choices("cookie", "form"),
    )
    form_name: str = _setting(
        "otel_usage_visit",
        "Name of the parameter that carries the ticket when VISIT_SOURCES has form.",
        _matching(re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*"), "letters, digits, -, . and _"),
    )
    visit_database: str | None = _setting(
        None,
        "Where the sqlalchemy visit manager keeps visits: a URL of SQLAlchemy's, such as "
        "postgresql+psycopg://user:password@host/database.",
        _database,
        secret=True,
    )
    visit_timeout_seconds: float = _setting(
        1200.0,
        "A visit ends after this long without a request; fractions allowed.",
        _seconds(at_most=365 * 86_400),
    )
    visitor_lifetime_days: int = _setting(
        365,
        "Max-Age of the visit cookie, which also names the visitor; 0 makes it a session cookie.",
        _whole_number(at_least=0, at_most=36_500),
    )
    cookie_name: str = _setting(
        "otel_usage_visit", "Name of the visit cookie.", _matching(_COOKIE_NAME, "letters, digits, - and _")
    )
    cookie_domain: str | None = _setting(
        None,
        "Domain of the visit cookie; unset: the host that answered.",
        _matching(_COOKIE_DOMAIN, "a domain with a dot, such as example.org"),
    )
    cookie_path: str = _setting(
        "/", "Path of the visit cookie.", _matching(_COOKIE_PATH, "a path that begins with /")
    )
    cookie_secure: str = _setting(
        "auto",
        "Secure flag of the visit cookie: true, false, or auto (set when the request came by HTTPS).",
        _choice("auto", "true", "false"),
    )
    cookie_permanent: bool = _setting(
        False,
        "With VISITOR_LIFETIME_DAYS 0: keep the cookie for the visit time-out, also when the browser closes.",
        _boolean,
    )
    cookie_samesite: str = _setting(
        "Lax", "SameSite of the visit cookie: Lax, Strict or None.", _choice("Lax", "Strict", "None")
    )
    secret: str | None = _setting(
        None,
        "Signs the cookie and keys the hashes. Default: the framework's secret key, else generated at start. "
        "Several hosts must share it.",
        _text,
        secret=True,
    )
    trusted_proxies: TrustedProxies = _setting(
        (),
        "Proxies whose X-Forwarded-For or Forwarded is believed: networks, or a number of hops. Unset: believe only the peer.",
        _trusted_proxies,
    )
    ip: str = _setting(
        "full",
        "What is kept of the client address: full, masked (/24, /48), hashed, off.",
        _choice("full", "masked", "hashed", "off"),
    )
    respect_gpc: bool = _setting(
        True, "A visitor who sends Sec-GPC: 1 gets no cookie, no visit and no user id.", _boolean
    )
    respect_dnt: bool = _setting(
        True, "A visitor who sends DNT: 1 gets no cookie, no visit and no user id.", _boolean
    )
    excluded_urls: Patterns = _setting(
        (re.compile("^/static/"),),
        "Comma-separated regular expressions; a path in which one is found is not tracked.",
        _patterns,
    )
    included_urls: Patterns = _setting(
        (),
        "Comma-separated regular expressions; when set, only paths in which one is found are tracked.",
        _patterns,
    )
    funnels: str | None = _setting(None, "Path of the TOML file that describes the funnels.", _text)
    queue_size: int = _setting(
        32768, "Finished events that may wait in memory; further ones are dropped and counted.",
        _whole_number(at_least=1, at_most=10_000_000),
    )  # fmt: skip
    batch_size: int = _setting(5000, "Events of one insert.", _whole_number(at_least=1, at_most=1_000_000))
    flush_interval_seconds: float = _setting(
        1.0,
        "Longest time an event waits for its batch to fill.",
        _seconds(at_most=3_600),
    )
    retention_days: int | None = _setting(
        None, "Days after which `migrate` lets ClickHouse delete events; unset keeps them.",
        _whole_number(at_least=1, at_most=10_000),
    )  # fmt: skip

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **arguments: object) -> Settings:
        """Return the settings in force.

        Args:
            environ: variables to read, `os.environ` by default.
            **arguments: settings by field name; None counts as not given.

        Raises:
            SettingError: a value cannot be used, or an argument is not a setting. Names the first one.
        """
        settings, errors = cls.load_with_errors(environ, **arguments)
        if errors:
            raise errors[0]
        return settings

    @classmethod
    def load_with_errors(
        cls, environ: Mapping[str, str] | None = None, **arguments: object
    ) -> tuple[Settings, list[SettingError]]:
        """Return the settings, with the default wherever a value cannot be used, and one error for each such value."""
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        errors: list[SettingError] = []
        fields = {field.name: field for field in dataclasses.fields(cls)}
        for unknown in arguments.keys() - fields.keys():
            errors.append(SettingError(f"'{unknown}' is not a setting, expected one of: {', '.join(fields)}"))
        for name, field in fields.items():
            given = arguments.get(name)
            if field.metadata["takes_objects"] and given is not None and not isinstance(given, str):
                values[name] = given
                continue
            label, text = (
                (f"{name}=", _to_text(given))
                if given is not None
                else (env_name(name), environ.get(env_name(name), ""))
            )
            if not text:
                continue
            try:
                values[name] = field.metadata["parse"](text)
            except ValueError as error:
                shown = "wrong" if field.metadata["secret"] else repr(text[:100])
                errors.append(SettingError(f"{label} is {shown}, {error}"))
        settings = cls(**values)
        if settings.cookie_samesite == "None" and settings.cookie_secure == "false":
            errors.append(
                SettingError(
                    f"{env_name('cookie_samesite')} is 'None', which browsers take from Secure cookies only; "
                    f"set {env_name('cookie_secure')} to true or auto"
                )
            )
            settings = dataclasses.replace(settings, cookie_samesite="Lax")
        return settings, errors

    @classmethod
    def load_or_default(cls, environ: Mapping[str, str] | None = None, **arguments: object) -> Settings:
        """Return the settings for use inside an app: a bad value is logged and replaced by its default."""
        settings, errors = cls.load_with_errors(environ, **arguments)
        for error in errors:
            logger.error("%s. Going on with the default.", error)
        environ = os.environ if environ is None else environ
        is_given = bool(arguments.get("dsn") or environ.get(env_name("dsn")))
        if is_given and settings.dsn is None and settings.exporter is None:
            # The default without a DSN would send the events to whoever listens on this computer.
            logger.error("Without that DSN usage events are not stored.")
            settings = dataclasses.replace(settings, exporter="none")
        return settings

    @property
    def exporter_name(self) -> str:
        """The exporter in force."""
        return self.exporter or ("clickhouse" if self.dsn else "otlp")

    def resolved_otlp_endpoint(self, environ: Mapping[str, str] | None = None) -> str:
        """Return where the otlp exporter sends, without a trailing slash.

        The SDK's variable is used only when its protocol is an HTTP one; a gRPC endpoint gives its host,
        at port 4318.
        """
        if self.otlp_endpoint:
            return self.otlp_endpoint
        environ = os.environ if environ is None else environ
        endpoint = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()
        protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get(
            "OTEL_EXPORTER_OTLP_PROTOCOL", ""
        )
        if endpoint and protocol.strip().lower().startswith("http/"):
            return endpoint.rstrip("/")
        try:
            parts = urlsplit(endpoint if "//" in endpoint else f"//{endpoint}")
        except ValueError:  # the SDK tells its user that this is no address
            parts = urlsplit("")
        host = parts.hostname or "localhost"
        # Never in clear text to a host that others reach by TLS.
        scheme = "https" if parts.scheme == "https" else "http"
        return f"{scheme}://[{host}]:4318" if ":" in host else f"{scheme}://{host}:4318"


def env_name(name: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + name.upper()


@dataclass(frozen=True, slots=True)
class SettingDescription:
    """One line of `otel-usage settings`; values are shown as one would write them."""

    name: str
    value: str
    default: str
    meaning: str


def describe(settings: Settings) -> list[SettingDescription]:
    """Return every setting with the value in force. Secrets and passwords are masked."""
    return [
        SettingDescription(
            env_name(field.name),
            _masked(field, getattr(settings, field.name)),
            _to_text(field.default),
            field.metadata["meaning"],
        )
        for field in dataclasses.fields(settings)
    ]


def mask_password(url: str) -> str:
    """Return a DSN, or another URL, with `***` for its password."""
    # Greedy to the last @ before the path: a password may hold one.
    return re.sub(r"(?<=://)([^/?#:]*):[^/?#]*@", r"\1:***@", url)


def _masked(field: dataclasses.Field[Any], value: object) -> str:
    if field.name in ("dsn", "otlp_endpoint", "visit_database"):
        return mask_password(_to_text(value))
    return "***" if value and field.metadata["secret"] else _to_text(value)


def _to_text(value: object) -> str:
    """Write a value the way the environment variable would hold it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, re.Pattern):
        return str(value.pattern)
    if isinstance(value, (tuple, list)):
        return ",".join(_to_text(part) for part in value)
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return str(value)
