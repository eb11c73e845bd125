"""The log call in Flask: what clients are answered, and what is recorded of it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import flask
import flask_login
import pytest
from flask import Flask
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler

import otel_usage
from otel_usage import attributes as names
from otel_usage.client_api import endpoint
from otel_usage.flask import client_api
from otel_usage.log_throttle import LogThrottle
from tests.client_api.calls import FORM, JSON, REFUSED, TAKEN, Refused, Taken, as_form, as_json, fields
from tests.tracking import Tracking

LOG = "/usage/log/"
SCRIPT = "/usage/client.js"
FIREFOX = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"}


def build_app() -> Flask:
    app = flask.Flask("shop")  # as contrib has replaced it
    app.secret_key = "of the app"
    app.register_blueprint(client_api(), url_prefix="/usage")

    @app.get("/")
    def home() -> str:
        return "home"

    return app


@pytest.fixture(params=["with contrib", "without contrib", "contrib, trace not sampled"])
def mode(request: pytest.FixtureRequest, tracking: Tracking) -> Callable[..., None]:
    """Start tracking in each of three ways."""

    def start(**settings: object) -> None:
        sampler: Sampler | None = ALWAYS_OFF if "not sampled" in request.param else None
        tracking.start(sampler, **settings)
        if request.param != "without contrib":
            FlaskInstrumentor().instrument()

    return start


def property_of(event: Any, name: str) -> object:
    return event.attributes.get(names.PROPERTY_PREFIX + name)


@pytest.mark.parametrize("taken", TAKEN, ids=lambda taken: taken.name)
def test_every_kind_of_body_is_answered_204_and_recorded(tracking: Tracking, taken: Taken) -> None:
    tracking.start()

    response = (
        build_app()
        .test_client()
        .post(
            LOG,
            data=taken.body,
            content_type=taken.content_type,
            headers={"Referer": "http://localhost/app/"},
        )
    )

    assert (response.status_code, response.data) == (204, b"")
    (event,) = tracking.events("activity")
    assert event.attributes[names.PATH] == taken.path


@pytest.mark.parametrize("refused", REFUSED, ids=lambda refused: refused.name)
def test_what_is_wrong_is_told_and_not_recorded(tracking: Tracking, refused: Refused) -> None:
    tracking.start()

    response = build_app().test_client().post(LOG, data=refused.body, content_type=refused.content_type)

    assert (response.status_code, response.get_json()) == (refused.status, refused.answer)
    assert response.headers["Content-Type"] == "application/json"
    assert "Set-Cookie" not in response.headers
    assert tracking.events() == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
def test_other_methods_are_not_allowed(tracking: Tracking, method: str) -> None:
    tracking.start()

    response = build_app().test_client().open(LOG, method=method)

    assert (response.status_code, response.headers["Allow"]) == (405, "POST, OPTIONS")
    assert method == "HEAD" or response.get_json() == {"detail": f'Method "{method}" not allowed.'}
    assert tracking.events() == []


def test_options_is_answered_200(tracking: Tracking) -> None:
    tracking.start()

    response = build_app().test_client().options(LOG)

    assert (response.status_code, response.headers["Allow"]) == (200, "POST, OPTIONS")


def test_the_url_has_its_name() -> None:
    with build_app().test_request_context():
        assert flask.url_for("otel_usage.activity_detail") == LOG
        assert flask.url_for("otel_usage.client_script") == SCRIPT


def test_an_activity_has_the_page_and_the_visit_of_the_call(
    tracking: Tracking, mode: Callable[..., None]
) -> None:
    mode()
    client = build_app().test_client()
    client.get("/", headers=FIREFOX)

    client.post(
        LOG, json=fields(path="/app/cart?token=x#/pay", referer="https://search.example/"), headers=FIREFOX
    )

    request = tracking.request()
    (event,) = tracking.events("activity")
    for shared in (names.VISIT_KEY, names.VISITOR_ID, names.CLIENT_ADDRESS, names.USER_AGENT):
        assert event.attributes[shared] == request.attributes[shared]
    assert event.attributes[names.PATH] == "/app/cart"
    assert event.attributes[names.QUERY] == "token=REDACTED"
    assert event.attributes[names.HOST] == "localhost"
    assert event.attributes[names.BROWSER] == "Firefox"
    assert event.attributes[names.REFERRER_DOMAIN] == "search.example"
    assert property_of(event, "url") == "http://localhost/app/cart?token=REDACTED#/pay"
    assert property_of(event, "fragment") == "/pay"
    assert names.VISIT_IS_NEW not in event.attributes
    assert names.STATUS_CODE not in event.attributes


def test_the_call_itself_is_no_request_and_is_counted(tracking: Tracking, mode: Callable[..., None]) -> None:
    mode()

    build_app().test_client().post(LOG, json=fields())

    assert [event.name for event in tracking.events()] == ["activity"]
    accounting = tracking.accounting()
    assert accounting.filtered == {"client_api": 1}
    assert (accounting.seen, accounting.stored) == (2, 1)


def test_the_first_call_of_a_client_opens_its_visit_and_sets_the_cookie(
    tracking: Tracking, mode: Callable[..., None]
) -> None:
    mode()
    client = build_app().test_client()

    first = client.post(LOG, json=fields())
    second = client.post(LOG, json=fields())

    assert "otel_usage_visit=" in first.headers["Set-Cookie"]
    assert "Set-Cookie" not in second.headers
    events = tracking.events("activity")
    assert len({event.attributes[names.VISIT_KEY] for event in events}) == 1
    assert [event.attributes.get(names.VISIT_IS_NEW, False) for event in events] == [True, False]


def test_the_span_of_the_call_is_its_activitys_parent_and_no_event(tracking: Tracking) -> None:
    tracking.start()
    FlaskInstrumentor().instrument()

    build_app().test_client().post(LOG, json=fields())

    (span,) = [span for span in tracking.spans() if span.name == "POST /usage/log/"]
    (event,) = tracking.events("activity")
    assert event.parent_span_id == span.context.span_id.to_bytes(8, "big")
    assert names.EVENT_NAME not in (span.attributes or {})


def test_without_a_span_the_activity_belongs_to_the_callers_trace(tracking: Tracking) -> None:
    tracking.start()
    trace_id = "0af7651916cd43dd8448eb211c80319c"

    build_app().test_client().post(
        LOG, json=fields(), headers={"traceparent": f"00-{trace_id}-b7ad6b7169203331-01", **FIREFOX}
    )

    assert tracking.events("activity")[0].trace_id.hex() == trace_id


def test_the_event_has_our_time_and_the_clients_beside_it(tracking: Tracking) -> None:
    tracking.start()
    client = build_app().test_client()

    client.post(LOG, json=fields())
    client.post(LOG, json=fields(date="2999-01-01T00:00:00Z"))

    now, absurd = tracking.events("activity")
    assert 0 <= absurd.timestamp_ns - now.timestamp_ns < 10**10
    assert property_of(now, "client_clock") is None
    assert abs(float(str(property_of(now, "client_skew_seconds")))) < 10
    assert property_of(absurd, "client_clock") == "absurd"
    assert property_of(absurd, "client_skew_seconds") == f"{366 * 86_400}.000"


def test_a_missing_path_is_that_of_the_referer_header(tracking: Tracking) -> None:
    tracking.start()

    response = (
        build_app()
        .test_client()
        .post(LOG, json={"date": fields()["date"]}, headers={"Referer": "http://localhost/app/list?page=2"})
    )

    assert response.status_code == 204
    (event,) = tracking.events("activity")
    assert event.attributes[names.PATH] == "/app/list"
    assert property_of(event, "url") == "http://localhost/app/list?page=2"
    assert names.REFERRER_URL not in event.attributes


def test_a_long_referer_is_cut_and_not_refused(tracking: Tracking) -> None:
    tracking.start()

    response = build_app().test_client().post(LOG, json=fields(referer="https://a.example/" + "x" * 12_000))

    assert response.status_code == 204
    assert len(str(tracking.events("activity")[0].attributes[names.REFERRER_URL])) == names.MAX_TEXT


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Referer": "https://evil.example/"},
    ],
    ids=str,
)
def test_a_page_of_another_site_is_refused(tracking: Tracking, headers: dict[str, str]) -> None:
    tracking.start()

    response = build_app().test_client().post(LOG, json=fields(), headers=headers)

    assert response.status_code == 403
    assert response.get_json() == {
        "detail": "Origin check failed: the call does not come from a page of this site."
    }
    assert tracking.events() == []
    assert tracking.accounting().filtered == {"client_api": 1}


def test_an_origin_of_the_settings_may_call(tracking: Tracking) -> None:
    tracking.start(client_api_origins="https://app.example.org")

    response = (
        build_app().test_client().post(LOG, json=fields(), headers={"Origin": "https://app.example.org"})
    )

    assert response.status_code == 204
    assert property_of(tracking.events("activity")[0], "url") == "https://app.example.org/app/cart"


def test_a_trusted_proxy_says_whether_the_site_is_secure(tracking: Tracking) -> None:
    tracking.start(trusted_proxies="127.0.0.1/32")
    client = build_app().test_client()
    by_tls = {"X-Forwarded-Proto": "https"}

    secure = client.post(LOG, json=fields(), headers={"Origin": "https://localhost", **by_tls})
    downgraded = client.post(LOG, json=fields(), headers={"Origin": "http://localhost", **by_tls})

    assert (secure.status_code, downgraded.status_code) == (204, 403)


def test_too_many_calls_of_one_address_are_told_when_to_come_again(
    tracking: Tracking, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "_rate_log", LogThrottle())
    tracking.start(client_api_calls_per_minute=3, trusted_proxies="127.0.0.1/32")
    client = build_app().test_client()

    def call(address: str) -> Any:
        return client.post(LOG, json=fields(), headers={"X-Forwarded-For": address})

    statuses = [call("192.0.2.1").status_code for _ in range(3)]
    refused = call("192.0.2.1")

    assert statuses == [204, 204, 204]
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 20
    assert refused.get_json()["detail"].startswith("Request was throttled. Expected available in ")
    assert call("192.0.2.2").status_code == 204
    assert len(tracking.events("activity")) == 4
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "OTEL_USAGE_TRUSTED_PROXIES" in record.getMessage()
    assert "192.0.2" not in record.getMessage()


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        pytest.param({"CONTENT_LENGTH": "99999999999"}, 413, id="a huge length"),
        pytest.param({"CONTENT_LENGTH": "9" * 10_000}, 413, id="a length of many digits"),
        pytest.param(
            {"CONTENT_LENGTH": "500", "wsgi.input": io.BytesIO(b"")}, 400, id="a length and nothing else"
        ),
        pytest.param({"CONTENT_LENGTH": "-5"}, 400, id="a negative length"),
        pytest.param({"CONTENT_LENGTH": "many"}, 400, id="no number"),
        pytest.param(
            {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""},
            204,
            id="chunks",
        ),
        pytest.param(
            {
                "wsgi.input_terminated": True,
                "HTTP_TRANSFER_ENCODING": "chunked",
                "CONTENT_LENGTH": "",
                "wsgi.input": io.BytesIO(b"x" * 10_000_000),
            },
            413,
            id="chunks without end",
        ),
    ],
)
def test_lengths_that_lie_are_no_error_of_ours(
    tracking: Tracking, environ: dict[str, Any], status: int
) -> None:
    tracking.start()

    response = (
        build_app()
        .test_client()
        .post(LOG, environ_overrides={"wsgi.input": io.BytesIO(as_json()), "CONTENT_TYPE": JSON, **environ})
    )

    assert response.status_code == status


def test_a_limit_of_the_app_is_not_overrun(tracking: Tracking) -> None:
    tracking.start()
    app = build_app()
    app.config["MAX_CONTENT_LENGTH"] = 10

    response = app.test_client().post(LOG, json=fields())

    assert response.status_code == 400


def test_eighty_first_calls_at_once_are_all_answered(tracking: Tracking) -> None:
    tracking.start()
    app = build_app()

    with ThreadPoolExecutor(20) as threads:
        statuses = list(
            threads.map(
                lambda _: app.test_client().post(LOG, data=as_form(), content_type=FORM).status_code,
                range(80),
            )
        )

    assert statuses == [204] * 80
    assert len(tracking.events("activity")) == 80


@pytest.mark.parametrize("settings", [{}, {"consent": lambda request: False}], ids=["GPC", "no consent"])
def test_who_opted_out_is_answered_and_counted_without_visit_and_user(
    tracking: Tracking, settings: dict[str, Any]
) -> None:
    tracking.start(**settings)
    headers = {} if settings else {"Sec-GPC": "1"}

    response = build_app().test_client().post(LOG, json=fields(), headers=headers)

    assert response.status_code == 204
    assert "Set-Cookie" not in response.headers
    (event,) = tracking.events("activity")
    assert names.VISIT_KEY not in event.attributes
    assert names.USER_ID not in event.attributes


@pytest.mark.parametrize(
    ("settings", "filtered"),
    [
        ({"excluded_urls": "^/app/"}, {"client_api": 1, "excluded_url": 1}),
        ({"included_urls": "^/shop/,^/usage/"}, {"client_api": 1, "not_included_url": 1}),
        ({"excluded_urls": "^/usage/"}, {"excluded_url": 2}),
    ],
    ids=str,
)
def test_a_page_that_is_not_tracked_is_not_recorded(
    tracking: Tracking, settings: dict[str, str], filtered: dict[str, int]
) -> None:
    tracking.start(**settings)

    response = build_app().test_client().post(LOG, json=fields())

    assert response.status_code == 204
    assert tracking.events() == []
    assert tracking.accounting().filtered == filtered


def test_where_only_included_views_are_tracked_the_call_is_one(tracking: Tracking) -> None:
    tracking.start(track="included")

    build_app().test_client().post(LOG, json=fields())

    assert len(tracking.events("activity")) == 1


def test_the_user_of_flask_login_is_loaded_for_the_call(tracking: Tracking) -> None:
    class User(flask_login.UserMixin):  # type: ignore[misc]
        id = "7"

    tracking.start()
    app = build_app()
    login_manager = flask_login.LoginManager(app)
    login_manager.user_loader(lambda user_id: User())
    app.add_url_rule("/in", view_func=lambda: str(flask_login.login_user(User())))
    client = app.test_client()

    client.post(LOG, json=fields())
    client.get("/in")
    client.post(LOG, json=fields())

    assert [event.attributes.get(names.USER_ID) for event in tracking.events("activity")] == [None, "7"]


def test_a_user_loader_that_fails_loses_the_user_alone(tracking: Tracking) -> None:
    def fail(user_id: str) -> None:
        raise RuntimeError("the database is down")

    tracking.start()
    app = build_app()
    flask_login.LoginManager(app).user_loader(fail)
    client = app.test_client()
    with client.session_transaction() as session:
        session["_user_id"] = "7"

    assert client.post(LOG, json=fields()).status_code == 204
    assert len(tracking.events("activity")) == 1


def test_a_failure_of_ours_is_answered_as_if_nothing_had_been(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("broken")

    tracking.start()
    monkeypatch.setattr(endpoint, "read_page", fail)

    assert build_app().test_client().post(LOG, json=fields()).status_code == 204


def test_switched_off_the_calls_are_answered_and_nothing_is_recorded(tracking: Tracking) -> None:
    tracking.start(disabled=True)
    client = build_app().test_client()

    good, bad = client.post(LOG, json=fields()), client.post(LOG, json={})

    assert (good.status_code, bad.status_code) == (204, 400)
    assert "Set-Cookie" not in good.headers
    assert tracking.events() == []


def test_a_call_inside_another_request_leaves_that_one_alone(tracking: Tracking) -> None:
    tracking.start()
    app = build_app()

    @app.get("/nesting")
    def nesting() -> str:
        return str(app.test_client().post(LOG, json=fields()).status_code)

    assert app.test_client().get("/nesting").text == "204"
    assert tracking.request().attributes[names.PATH] == "/nesting"
    assert len(tracking.events("activity")) == 1


def test_events_that_a_hook_records_in_the_call_stay(tracking: Tracking) -> None:
    tracking.start()
    app = build_app()
    app.before_request(lambda: otel_usage.track("knocked"))

    app.test_client().post(LOG, json=fields())

    knocked, activity = tracking.events("knocked")[0], tracking.events("activity")[0]
    assert knocked.attributes[names.VISIT_KEY] == activity.attributes[names.VISIT_KEY]


def test_a_masked_address_is_masked_on_the_calls_own_span_too(tracking: Tracking) -> None:
    tracking.start(ip="masked")
    FlaskInstrumentor().instrument()

    build_app().test_client().post(LOG, json=fields(), environ_overrides={"REMOTE_ADDR": "203.0.113.77"})

    assert "203.0.113.77" not in json.dumps(
        [dict(span.attributes or {}) for span in tracking.spans()], default=str
    )
    assert tracking.events("activity")[0].attributes[names.CLIENT_ADDRESS] == "203.0.113.0"


def test_the_script_may_be_kept_and_comes_without_cookie_and_event(tracking: Tracking) -> None:
    tracking.start()
    client = build_app().test_client()

    first = client.get(SCRIPT)
    again = client.get(SCRIPT, headers={"If-None-Match": first.headers["ETag"]})

    assert (first.status_code, first.mimetype, again.status_code) == (200, "text/javascript", 304)
    assert first.headers["Cache-Control"] == "public, max-age=3600"
    assert "Set-Cookie" not in first.headers
    assert again.data == b""
    assert tracking.events() == []
    assert tracking.accounting().filtered == {"client_script": 2}
