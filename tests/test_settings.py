from __future__ import annotations

import dataclasses
import logging
import re
from ipaddress import ip_network

import pytest

from otel_usage.errors import SettingError
from otel_usage.settings import Settings, describe, env_name, mask_password

NUMBER_OF_SECONDS = "expected a number of seconds above 0 and up to"
PROXIES = "expected networks such as 10.0.0.0/8,::1 or the number of proxies in front of the app, up to 999"
ADDRESS = "expected an address such as http://localhost:4318"
DATABASE = "expected a URL of SQLAlchemy's such as postgresql+psycopg://user:password@host/database"
PLACES = "expected a dotted path such as shop.places.place_of"
GEO_ENDPOINT = "expected an address such as https://geo.example.org/json/{ip}"
DSN = "expected http(s)://user:password@host:port/database or chdb:///path/database"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "user",
            "me",
            "OTEL_USAGE_USER is 'me', expected auto, off, or a dotted path such as shop.users.user_of",
        ),
        (
            "user",
            "a.b()",
            "OTEL_USAGE_USER is 'a.b()', expected auto, off, or a dotted path such as shop.users.user_of",
        ),
        ("basic_auth_users", "yes", "OTEL_USAGE_BASIC_AUTH_USERS is 'yes', expected true or false"),
        ("ignore_users", "yes", "OTEL_USAGE_IGNORE_USERS is 'yes', expected true or false"),
        ("track", "some", "OTEL_USAGE_TRACK is 'some', expected one of: all, included"),
        ("track_unmatched", "no", "OTEL_USAGE_TRACK_UNMATCHED is 'no', expected one of: auto, true, false"),
        ("geo_lookup", "places()", f"OTEL_USAGE_GEO_LOOKUP is 'places()', {PLACES}"),
        ("geo_endpoint", "geo.example.org/{ip}", f"OTEL_USAGE_GEO_ENDPOINT is wrong, {GEO_ENDPOINT}"),
        ("geo_endpoint", "http://h:99999/", f"OTEL_USAGE_GEO_ENDPOINT is wrong, {GEO_ENDPOINT}"),
        ("geo_endpoint", "http://h/a b/{ip}", f"OTEL_USAGE_GEO_ENDPOINT is wrong, {GEO_ENDPOINT}"),
        ("disabled", "yes", "OTEL_USAGE_DISABLED is 'yes', expected true or false"),
        ("disabled", "1", "OTEL_USAGE_DISABLED is '1', expected true or false"),
        ("dsn", "localhost:8123", f"OTEL_USAGE_DSN is wrong, {DSN}"),
        ("dsn", "tcp://host:9000/db", f"OTEL_USAGE_DSN is wrong, {DSN}"),
        ("dsn", "http://host:99999/db", f"OTEL_USAGE_DSN is wrong, {DSN}"),
        ("dsn", "http://me:hunter2@[::1/db", f"OTEL_USAGE_DSN is wrong, {DSN}"),
        ("dsn", "chdb://host/db", f"OTEL_USAGE_DSN is wrong, {DSN}"),
        ("otlp_endpoint", "localhost:4318", f"OTEL_USAGE_OTLP_ENDPOINT is 'localhost:4318', {ADDRESS}"),
        ("otlp_endpoint", "http://[::1", f"OTEL_USAGE_OTLP_ENDPOINT is 'http://[::1', {ADDRESS}"),
        ("otlp_endpoint", "http://h:77777", f"OTEL_USAGE_OTLP_ENDPOINT is 'http://h:77777', {ADDRESS}"),
        (
            "visit_timeout_seconds",
            "30m",
            f"OTEL_USAGE_VISIT_TIMEOUT_SECONDS is '30m', {NUMBER_OF_SECONDS} 31536000",
        ),
        (
            "visit_timeout_seconds",
            "0",
            f"OTEL_USAGE_VISIT_TIMEOUT_SECONDS is '0', {NUMBER_OF_SECONDS} 31536000",
        ),
        (
            "visit_timeout_seconds",
            "-5",
            f"OTEL_USAGE_VISIT_TIMEOUT_SECONDS is '-5', {NUMBER_OF_SECONDS} 31536000",
        ),
        (
            "visit_timeout_seconds",
            "nan",
            f"OTEL_USAGE_VISIT_TIMEOUT_SECONDS is 'nan', {NUMBER_OF_SECONDS} 31536000",
        ),
        (
            "visit_timeout_seconds",
            "1_000",
            f"OTEL_USAGE_VISIT_TIMEOUT_SECONDS is '1_000', {NUMBER_OF_SECONDS} 31536000",
        ),
        (
            "visit_timeout_seconds",
            "1e300",
            f"OTEL_USAGE_VISIT_TIMEOUT_SECONDS is '1e300', {NUMBER_OF_SECONDS} 31536000",
        ),
        (
            "visitor_lifetime_days",
            "-1",
            "OTEL_USAGE_VISITOR_LIFETIME_DAYS is '-1', expected a whole number from 0 to 36500",
        ),
        (
            "visitor_lifetime_days",
            "99999999",
            "OTEL_USAGE_VISITOR_LIFETIME_DAYS is '99999999', expected a whole number from 0 to 36500",
        ),
        (
            "cookie_name",
            "my cookie",
            "OTEL_USAGE_COOKIE_NAME is 'my cookie', expected letters, digits, - and _",
        ),
        (
            "cookie_name",
            "a\r\nSet-Cookie: b",
            "OTEL_USAGE_COOKIE_NAME is 'a\\r\\nSet-Cookie: b', expected letters, digits, - and _",
        ),
        (
            "cookie_domain",
            "localhost",
            "OTEL_USAGE_COOKIE_DOMAIN is 'localhost', expected a domain with a dot, such as example.org",
        ),
        (
            "cookie_domain",
            "example.org; Secure",
            "OTEL_USAGE_COOKIE_DOMAIN is 'example.org; Secure', expected a domain with a dot, such as example.org",
        ),
        ("cookie_path", "shop", "OTEL_USAGE_COOKIE_PATH is 'shop', expected a path that begins with /"),
        ("cookie_path", "/a;b", "OTEL_USAGE_COOKIE_PATH is '/a;b', expected a path that begins with /"),
        (
            "cookie_secure",
            "maybe",
            "OTEL_USAGE_COOKIE_SECURE is 'maybe', expected one of: auto, true, false",
        ),
        ("cookie_permanent", "no", "OTEL_USAGE_COOKIE_PERMANENT is 'no', expected true or false"),
        ("one_session_per_user", "1x", "OTEL_USAGE_ONE_SESSION_PER_USER is '1x', expected true or false"),
        (
            "cookie_samesite",
            "Loose",
            "OTEL_USAGE_COOKIE_SAMESITE is 'Loose', expected one of: Lax, Strict, None",
        ),
        ("trusted_proxies", "nginx", f"OTEL_USAGE_TRUSTED_PROXIES is 'nginx', {PROXIES}"),
        ("trusted_proxies", "10.0.0.0/33", f"OTEL_USAGE_TRUSTED_PROXIES is '10.0.0.0/33', {PROXIES}"),
        ("trusted_proxies", "-1", f"OTEL_USAGE_TRUSTED_PROXIES is '-1', {PROXIES}"),
        ("ip", "none", "OTEL_USAGE_IP is 'none', expected one of: full, masked, hashed, off"),
        ("respect_gpc", "on", "OTEL_USAGE_RESPECT_GPC is 'on', expected true or false"),
        ("respect_dnt", "on", "OTEL_USAGE_RESPECT_DNT is 'on', expected true or false"),
        (
            "excluded_urls",
            "^/a,(",
            "OTEL_USAGE_EXCLUDED_URLS is '^/a,(', expected comma-separated regular expressions "
            "(missing ), unterminated subpattern at position 0)",
        ),
        (
            "included_urls",
            "*",
            "OTEL_USAGE_INCLUDED_URLS is '*', expected comma-separated regular expressions "
            "(nothing to repeat at position 0)",
        ),
        (
            "visit_sources",
            "cookie,header",
            "OTEL_USAGE_VISIT_SOURCES is 'cookie,header', expected one or more of these, separated by commas: cookie, form",
        ),
        (
            "visit_sources",
            ",",
            "OTEL_USAGE_VISIT_SOURCES is ',', expected one or more of these, separated by commas: cookie, form",
        ),
        ("visit_database", "hunter2@db", f"OTEL_USAGE_VISIT_DATABASE is wrong, {DATABASE}"),
        ("visit_database", "sqlite:/visits.db", f"OTEL_USAGE_VISIT_DATABASE is wrong, {DATABASE}"),
        ("form_name", "a b", "OTEL_USAGE_FORM_NAME is 'a b', expected letters, digits, -, . and _"),
        (
            "client_api_calls_per_minute",
            "many",
            "OTEL_USAGE_CLIENT_API_CALLS_PER_MINUTE is 'many', expected a whole number from 0 to 1000000",
        ),
        (
            "client_api_origins",
            "app.example.org",
            "OTEL_USAGE_CLIENT_API_ORIGINS is 'app.example.org', expected origins such as "
            "https://app.example.org,http://localhost:3000",
        ),
        ("queue_size", "0", "OTEL_USAGE_QUEUE_SIZE is '0', expected a whole number from 1 to 10000000"),
        ("queue_size", "1e3", "OTEL_USAGE_QUEUE_SIZE is '1e3', expected a whole number from 1 to 10000000"),
        ("batch_size", "٣", "OTEL_USAGE_BATCH_SIZE is '٣', expected a whole number from 1 to 1000000"),
        (
            "flush_interval_seconds",
            "inf",
            f"OTEL_USAGE_FLUSH_INTERVAL_SECONDS is 'inf', {NUMBER_OF_SECONDS} 3600",
        ),
        (
            "retention_days",
            "ninety",
            "OTEL_USAGE_RETENTION_DAYS is 'ninety', expected a whole number from 1 to 10000",
        ),
        (
            "summary_retention_days",
            "0",
            "OTEL_USAGE_SUMMARY_RETENTION_DAYS is '0', expected a whole number from 1 to 10000",
        ),
        (
            "traces_retention_days",
            "-1",
            "OTEL_USAGE_TRACES_RETENTION_DAYS is '-1', expected a whole number from 1 to 10000",
        ),
    ],
)
def test_a_bad_value_is_named_with_what_was_expected(name: str, text: str, message: str) -> None:
    with pytest.raises(SettingError) as caught:
        Settings.load({env_name(name): text})

    assert str(caught.value) == message


def test_every_setting_that_can_be_wrong_has_such_a_message() -> None:
    texts = {
        "exporter",
        "secret",
        "funnels",
        "visit_manager",
        "consent",
        "geo_database",
    }  # any text will do here; they are judged where they are used
    (marker,) = test_a_bad_value_is_named_with_what_was_expected.pytestmark  # type: ignore[attr-defined]
    tested = {parameters[0] for parameters in marker.args[1]}

    assert tested == {field.name for field in dataclasses.fields(Settings)} - texts


@pytest.mark.parametrize("field", dataclasses.fields(Settings), ids=lambda field: str(field.name))
def test_an_empty_variable_counts_as_unset(field: dataclasses.Field[object]) -> None:
    settings = Settings.load({env_name(field.name): ""})

    assert getattr(settings, field.name) == field.default


def test_an_argument_goes_before_its_variable_and_that_before_the_default() -> None:
    environ = {"OTEL_USAGE_BATCH_SIZE": "7", "OTEL_USAGE_QUEUE_SIZE": "8"}

    settings = Settings.load(environ, batch_size=9)

    assert (settings.batch_size, settings.queue_size, settings.cookie_name) == (9, 8, "otel_usage_visit")


def test_an_argument_that_is_none_counts_as_not_given() -> None:
    assert Settings.load({"OTEL_USAGE_IP": "masked"}, ip=None).ip == "masked"


def test_an_unknown_argument_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(
        SettingError, match=r"^'dns' is not a setting, expected one of: disabled, dsn, exporter"
    ):
        Settings.load({}, dns="http://localhost:8123/otel_usage")


def test_arguments_may_have_the_type_that_the_setting_has() -> None:
    settings = Settings.load(
        {},
        disabled=True,
        visit_timeout_seconds=86400.123,
        trusted_proxies=[ip_network("10.0.0.0/8"), "::1"],
        excluded_urls=(re.compile("^/a"), "^/b"),
        secret=b"k\xff",
    )

    assert settings.disabled
    assert settings.visit_timeout_seconds == 86400.123
    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1"))
    assert [pattern.pattern for pattern in settings.excluded_urls] == ["^/a", "^/b"]
    assert settings.secret == "k\udcff"


def test_trusted_proxies_are_a_number_of_hops_or_networks() -> None:
    assert Settings.load({"OTEL_USAGE_TRUSTED_PROXIES": "2"}).trusted_proxies == 2
    assert Settings.load({"OTEL_USAGE_TRUSTED_PROXIES": "10.1.2.3/8, ::1"}).trusted_proxies == (
        ip_network("10.0.0.0/8"),
        ip_network("::1/128"),
    )


def test_samesite_none_without_secure_is_refused() -> None:
    with pytest.raises(SettingError) as caught:
        Settings.load({"OTEL_USAGE_COOKIE_SAMESITE": "none", "OTEL_USAGE_COOKIE_SECURE": "false"})

    assert str(caught.value) == (
        "OTEL_USAGE_COOKIE_SAMESITE is 'None', which browsers take from Secure cookies only; "
        "set OTEL_USAGE_COOKIE_SECURE to true or auto"
    )


def test_in_an_app_each_bad_value_is_logged_once_and_replaced_by_its_default(
    caplog: pytest.LogCaptureFixture,
) -> None:
    environ = {"OTEL_USAGE_IP": "some", "OTEL_USAGE_BATCH_SIZE": "x", "OTEL_USAGE_QUEUE_SIZE": "5"}

    settings = Settings.load_or_default(environ)

    assert (settings.ip, settings.batch_size, settings.queue_size) == ("full", 5000, 5)
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (
            logging.ERROR,
            "OTEL_USAGE_IP is 'some', expected one of: full, masked, hashed, off. Going on with the default.",
        ),
        (
            logging.ERROR,
            "OTEL_USAGE_BATCH_SIZE is 'x', expected a whole number from 1 to 1000000. Going on with the default.",
        ),
    ]


def test_a_long_bad_value_is_cut_in_the_message() -> None:
    with pytest.raises(SettingError) as caught:
        Settings.load({"OTEL_USAGE_IP": "x" * 10_000})

    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("http://me:hunter2@db:8123/usage", "http://me:***@db:8123/usage"),
        ("http://me:hun@ter2@db:8123/usage", "http://me:***@db:8123/usage"),
        ("http://me:hun:ter2@db/usage", "http://me:***@db/usage"),
        ("http://:hunter2@db/usage", "http://:***@db/usage"),
        ("http://db:8123/usage", "http://db:8123/usage"),
        ("chdb:///data/a:b@c/usage", "chdb:///data/a:b@c/usage"),
    ],
)
def test_a_password_is_masked_and_nothing_else(dsn: str, shown: str) -> None:
    assert mask_password(dsn) == shown


def test_secrets_are_never_shown() -> None:
    settings = Settings.load(
        {},
        dsn="https://me:hunter2@db/usage",
        secret="swordfish",
        otlp_endpoint="https://me:hunter2@collector",
        visit_database="postgresql://me:hunter2@db/shop",
    )

    shown = {line.name: line.value for line in describe(settings)}

    assert shown["OTEL_USAGE_DSN"] == "https://me:***@db/usage"
    assert shown["OTEL_USAGE_SECRET"] == "***"
    assert shown["OTEL_USAGE_OTLP_ENDPOINT"] == "https://me:***@collector"
    assert shown["OTEL_USAGE_VISIT_DATABASE"] == "postgresql://me:***@db/shop"


def test_every_setting_is_described_the_way_it_is_written() -> None:
    lines = describe(Settings.load({}, visit_timeout_seconds=0.5))

    assert [line.name for line in lines] == [env_name(field.name) for field in dataclasses.fields(Settings)]
    assert all(line.meaning for line in lines)
    shown = {line.name: (line.value, line.default) for line in lines}
    assert shown["OTEL_USAGE_VISIT_TIMEOUT_SECONDS"] == ("0.5", "1200")
    assert shown["OTEL_USAGE_EXCLUDED_URLS"] == ("^/static/", "^/static/")
    assert shown["OTEL_USAGE_COOKIE_PERMANENT"] == ("false", "false")
    assert shown["OTEL_USAGE_TRUSTED_PROXIES"] == ("", "")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({}, "otlp"),
        ({"dsn": "http://h/d"}, "clickhouse"),
        ({"dsn": "http://h/d", "exporter": "none"}, "none"),
    ],
)
def test_a_dsn_chooses_clickhouse_unless_an_exporter_is_named(
    arguments: dict[str, object], name: str
) -> None:
    assert Settings.load({}, **arguments).exporter_name == name


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({}, "http://localhost:4318"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:9999/"}, "http://c:4318"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "c:4317"}, "http://c:4318"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "c"}, "http://c:4318"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://[::1]:4317"}, "http://[::1]:4318"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c:4317"}, "https://c:4318"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://[::1"}, "http://localhost:4318"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "http://c:4318",
        ),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:9999/x/",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            },
            "http://c:9999/x",
        ),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
            },
            "http://c:4318",
        ),
    ],
)
def test_the_sdks_endpoint_is_taken_over_only_when_it_speaks_http(
    environ: dict[str, str], endpoint: str
) -> None:
    assert Settings.load(environ).resolved_otlp_endpoint(environ) == endpoint


def test_our_own_endpoint_goes_before_the_sdks() -> None:
    environ = {"OTEL_USAGE_OTLP_ENDPOINT": "http://mine:1/", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://theirs:2"}

    assert Settings.load(environ).resolved_otlp_endpoint(environ) == "http://mine:1"


@pytest.mark.parametrize("given", [{"dsn": "bogus"}, {"OTEL_USAGE_DSN": "mysql://x"}])
def test_a_dsn_that_cannot_be_used_sends_the_events_nowhere_else(
    given: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    environ = {name: text for name, text in given.items() if name.startswith("OTEL_")}
    arguments = {name: text for name, text in given.items() if name not in environ}

    settings = Settings.load_or_default(environ, **arguments)

    assert settings.exporter_name == "none"
    assert caplog.messages[-1] == "Without that DSN usage events are not stored."


def test_a_dsn_that_cannot_be_used_does_not_touch_an_exporter_that_was_named() -> None:
    environ = {"OTEL_USAGE_DSN": "bogus", "OTEL_USAGE_EXPORTER": "console"}

    assert Settings.load_or_default(environ).exporter_name == "console"
