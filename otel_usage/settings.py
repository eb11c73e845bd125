"""Every setting, declared once: its name, type, default and meaning.

Order: keyword argument, environment variable (`OTEL_USAGE_` and the field's name in capitals), default.
An empty variable counts as unset, as the OpenTelemetry specification asks.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from otel_usage import setting_values as read
from otel_usage.errors import SettingError

logger = logging.getLogger(__name__)

PREFIX = "OTEL_USAGE_"


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

    disabled: bool = _setting(False, "Record nothing, set no cookie, start no thread.", read.boolean)
    dsn: str | None = _setting(
        None,
        "ClickHouse: http(s)://user:password@host:port/database, or chdb:///path/database for scripts.",
        read.dsn,
        secret=True,
    )
    exporter: str | None = _setting(
        None,
        "clickhouse (the default when DSN is set), otlp (the default otherwise), console, none (annotate "
        "spans only), or a name of the entry point group otel_usage_exporter.",
        read.text,
    )
    otlp_endpoint: str | None = _setting(
        None,
        "Where the otlp exporter sends. Default: OTEL_EXPORTER_OTLP_ENDPOINT if its protocol is HTTP, "
        "else http://localhost:4318.",
        read.endpoint,
    )
    visit_manager: Any = _setting(
        "cookie",
        "Who finds the visit of a request: cookie, cookieless, session, sqlalchemy, a name of the entry point group "
        "otel_usage_visit_manager, or a dotted path; by hand also an instance.",
        read.text,
        takes_objects=True,
    )
    visit_sources: tuple[str, ...] = _setting(
        ("cookie",),
        "Where the visit's ticket is looked for, in this order: cookie, form. Form takes it from the query or a form too.",
        read.choices("cookie", "form"),
    )
    form_name: str = _setting(
        "otel_usage_visit",
        "Name of the parameter that carries the ticket when VISIT_SOURCES has form.",
        read.matching(re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*"), "letters, digits, -, . and _"),
    )
    visit_database: str | None = _setting(
        None,
        "Where the sqlalchemy visit manager keeps visits: a URL of SQLAlchemy's, such as "
        "postgresql+psycopg://user:password@host/database.",
        read.database,
        secret=True,
    )
    visit_timeout_seconds: float = _setting(
        1200.0,
        "A visit ends after this long without a request; fractions allowed.",
        read.seconds(at_most=365 * 86_400),
    )
    visitor_lifetime_days: int = _setting(
        365,
        "Max-Age of the visit cookie, which also names the visitor; 0 makes it a session cookie.",
        read.whole_number(at_least=0, at_most=36_500),
    )
    cookie_name: str = _setting(
        "otel_usage_visit",
        "Name of the visit cookie; not that of the framework's session.",
        read.matching(read.COOKIE_NAME, "letters, digits, - and _"),
    )
    cookie_domain: str | None = _setting(
        None,
        "Domain of the visit cookie; unset: the host that answered.",
        read.matching(read.COOKIE_DOMAIN, "a domain with a dot, such as example.org"),
    )
    cookie_path: str = _setting(
        "/", "Path of the visit cookie.", read.matching(read.COOKIE_PATH, "a path that begins with /")
    )
    cookie_secure: str = _setting(
        "auto",
        "Secure flag of the visit cookie: true, false, or auto (set when the request came by HTTPS).",
        read.choice("auto", "true", "false"),
    )
    cookie_permanent: bool = _setting(
        False,
        "With VISITOR_LIFETIME_DAYS 0: keep the cookie for the visit time-out, also when the browser closes.",
        read.boolean,
    )
    cookie_samesite: str = _setting(
        "Lax", "SameSite of the visit cookie: Lax, Strict or None.", read.choice("Lax", "Strict", "None")
    )
    secret: str | None = _setting(
        None,
        "Signs the cookie and keys the hashes. Default: the framework's secret key, else generated at start. "
        "Several hosts must share it.",
        read.text,
        secret=True,
    )
    trusted_proxies: read.TrustedProxies = _setting(
        (),
        "Proxies whose X-Forwarded-For or Forwarded is believed: networks, or a number of hops. Unset: believe only the peer.",
        read.trusted_proxies,
    )
    ip: str = _setting(
        "full",
        "What is kept of the client address: full, masked (/24, /48), hashed, off.",
        read.choice("full", "masked", "hashed", "off"),
    )
    respect_gpc: bool = _setting(
        True, "A visitor who sends Sec-GPC: 1 gets no cookie, no visit and no user id.", read.boolean
    )
    respect_dnt: bool = _setting(
        True, "A visitor who sends DNT: 1 gets no cookie, no visit and no user id.", read.boolean
    )
    consent: Any = _setting(
        None,
        "Who agreed to be followed: a dotted path, by hand also a callable, that gets the framework's request and "
        "returns True, False, or None when the visitor was not asked. Unset: everybody.",
        # Any text: one that names nothing must follow nobody, where the default would follow everybody.
        read.text,
        takes_objects=True,
    )
    user: Any = _setting(
        "auto",
        "Who the user is: auto (whom the framework has loaded anyway), off, or a dotted path, by hand also a callable, "
        "that gets the framework's request and returns a user id or None.",
        read.dotted_path_or("auto", "off"),
        takes_objects=True,
    )
    basic_auth_users: bool = _setting(
        False,
        "Take the name of an Authorization: Basic header for the user id, where there is no other and the request "
        "was not refused.",
        read.boolean,
    )
    track: str = _setting(
        "all",
        "all (every view but the excluded ones), or included (only included ones).",
        read.choice("all", "included"),
    )
    track_unmatched: str = _setting(
        "auto",
        "Track requests that no view answers, such as a 404: true, false, or auto (not when TRACK is included).",
        read.choice("auto", "true", "false"),
    )
    excluded_urls: read.Patterns = _setting(
        (re.compile("^/static/"),),
        "Comma-separated regular expressions; a path in which one is found is not tracked, whatever else is said of it.",
        read.patterns,
    )
    included_urls: read.Patterns = _setting(
        (),
        "Comma-separated regular expressions; when set, only paths in which one is found are tracked, and views that "
        "are included.",
        read.patterns,
    )
    funnels: str | None = _setting(None, "Path of the TOML file that describes the funnels.", read.text)
    ignore_users: bool = _setting(
        False, "Leave signed-in users out of the funnels: what they do reaches no stage.", read.boolean
    )
    client_api_calls_per_minute: int = _setting(
        600,
        "Log calls of the client API that one address may make in a minute, in each process; 0 for no limit.",
        read.whole_number(at_least=0, at_most=1_000_000),
    )
    client_api_origins: tuple[str, ...] = _setting(
        (),
        "Comma-separated origins beside the site's own, such as https://app.example.org, whose pages may make log calls.",
        read.origins,
    )
    one_session_per_user: bool = _setting(
        False,
        "A login ends all other sessions of the user. In Django; needs the app otel_usage.django.",
        read.boolean,
    )
    geo_lookup: Any = _setting(
        None,
        "Who knows where an address is: a dotted path, by hand also a callable, that gets the address as text and "
        "returns a mapping with country, region and city, or None.",
        read.matching(read.DOTTED_PATH, "a dotted path such as shop.places.place_of"),
        takes_objects=True,
    )
    geo_database: str | None = _setting(
        None,
        "Path of a MaxMind DB file in which country, region and city are looked up; needs the extra geo.",
        read.text,
    )
    geo_endpoint: str | None = _setting(
        None,
        "HTTP address that answers in JSON where an address is, which takes the place of {ip} in it or is appended. "
        "It is told the addresses of visitors.",
        read.url,
        secret=True,
    )
    queue_size: int = _setting(
        32768, "Finished events that may wait in memory; further ones are dropped and counted.",
        read.whole_number(at_least=1, at_most=10_000_000),
    )  # fmt: skip
    batch_size: int = _setting(
        5000, "Events of one insert.", read.whole_number(at_least=1, at_most=1_000_000)
    )
    flush_interval_seconds: float = _setting(
        1.0,
        "Longest time an event waits for its batch to fill.",
        read.seconds(at_most=3_600),
    )
    retention_days: int | None = _setting(
        None, "Days after which `migrate` lets ClickHouse delete events; unset keeps them.",
        read.whole_number(at_least=1, at_most=10_000),
    )  # fmt: skip
    summary_retention_days: int | None = _setting(
        None, "Days after which `migrate` lets ClickHouse delete summaries; unset keeps them.",
        read.whole_number(at_least=1, at_most=10_000),
    )  # fmt: skip
    traces_retention_days: int | None = _setting(
        None, "Days after which `migrate` lets ClickHouse delete the spans that a Collector stores; unset keeps them.",
        read.whole_number(at_least=1, at_most=10_000),
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
