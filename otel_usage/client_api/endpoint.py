"""The log call from its headers to its event: who may call, how often, with what; and what is recorded of it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from otel_usage import attributes as names
from otel_usage.client_api.activity import Activity, read_activity
from otel_usage.client_api.answer import OPTIONS, RECORDED, ClientAnswer, refusal
from otel_usage.client_api.body import BadBody, UnknownMediaType, read_fields
from otel_usage.client_api.client_time import compare_clocks
from otel_usage.client_api.origin import CallingSite, OriginCheck, OwnSite
from otel_usage.client_api.page import read_page
from otel_usage.client_api.rate_limit import RateLimiter
from otel_usage.instrumentation.address import AddressResolver
from otel_usage.instrumentation.guard import report_error
from otel_usage.instrumentation.redaction import bounded, redact_url, secret_parameters
from otel_usage.instrumentation.scope import Scope
from otel_usage.instrumentation.tracked import TrackedRequest, make_event_span
from otel_usage.instrumentation.wsgi import read_wsgi_request
from otel_usage.log_throttle import LogThrottle
from otel_usage.model import AttributeValue
from otel_usage.settings import Settings
from otel_usage.wiring import Runtime, runtime

logger = logging.getLogger(__name__)

FILTERED_CALL = "client_api"
"""Why the call's own request is not recorded."""
MAX_BODY_BYTES = 16_384

_rate_log = LogThrottle()


class ClientCall(NamedTuple):
    """A call as the framework's view has it."""

    environ: Mapping[str, Any]
    """The variables of CGI, as WSGI and Django's `META` have them; only those of headers are read."""
    method: str
    tracked: TrackedRequest | None
    """The call's own request; None where requests are not tracked, and inside of another one."""
    own_host: str
    """The host that the client addressed, as far as the framework believes it; may have a port."""
    is_https: bool
    read_body: Callable[[int], bytes]
    """Gives at most so many bytes, fewer only at the end; an OSError says that the client has gone."""
    load_user: Callable[[], None]
    """Lets the app find out who is signed in, in its own way. Called for calls that are in order alone."""


class ClientApi:
    """The log call of one process."""

    def __init__(self, active: Runtime | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Prepare what the settings say.

        Args:
            active: what is in force; None where nothing is recorded, then calls are checked and that is all.
            clock: of the rate limit, in seconds.
        """
        settings = active.settings if active is not None else Settings()
        self.active = active
        self._settings = settings
        self._resolver = AddressResolver(settings.trusted_proxies)
        self._origins = OriginCheck(settings.client_api_origins)
        self._limiter = RateLimiter(settings.client_api_calls_per_minute, clock=clock)
        self._scope = Scope(settings)
        self._secrets = secret_parameters(settings.form_name)
        self._asks_for_user = isinstance(settings.user, str) and settings.user == "auto"

    def answer(self, call: ClientCall) -> ClientAnswer:
        """Record the call if it is in order. Never raises: a failure of ours is logged, and no client's business."""
        received_ns = time.time_ns()
        try:
            if call.tracked is not None:
                call.tracked.record_events_only(FILTERED_CALL)
            answer = self._answer(call, received_ns)
            if call.tracked is not None and answer is not RECORDED:
                call.tracked.set_cookie = ""  # a refused call opens no visit
            return answer
        except Exception as error:
            report_error(error)
            return RECORDED

    def _answer(self, call: ClientCall, received_ns: int) -> ClientAnswer:
        if call.method == "OPTIONS":
            return OPTIONS
        if call.method != "POST":
            shown = bounded(call.method, 16)
            return refusal(405, {"detail": f'Method "{shown}" not allowed.'}, *OPTIONS.headers[1:])
        header = _header_reader(call.environ)
        own = self._own_site(call)
        calling = CallingSite(header("ORIGIN"), header("SEC_FETCH_SITE"), header("REFERER"))
        if not self._origins.allows(calling, own):
            return refusal(
                403, {"detail": "Origin check failed: the call does not come from a page of this site."}
            )
        seconds = self._limiter.seconds_to_wait(self._client_address(call))
        if seconds:
            return self._throttled(seconds)
        try:
            fields = read_fields(call.environ.get("CONTENT_TYPE", ""), _read_body(call))
        except _TooBig:
            return refusal(413, {"detail": f"Request body is larger than {MAX_BODY_BYTES} bytes."})
        except UnknownMediaType as error:
            return refusal(415, {"detail": str(error)})
        except BadBody as error:
            return refusal(400, {"errors": {"non_field_errors": [str(error)]}})
        activity = read_activity(fields, header("REFERER"))
        if isinstance(activity, dict):
            return refusal(400, {"errors": activity})
        if self.active is not None:
            self._record(self.active, call, activity, _base_url(calling, own), received_ns)
        return RECORDED

    def _own_site(self, call: ClientCall) -> OwnSite:
        tracked = call.tracked
        is_https = call.is_https or (
            tracked is not None and self._resolver.client_scheme(tracked.facts) == "https"
        )
        return OwnSite(call.own_host, is_https)

    def _client_address(self, call: ClientCall) -> str:
        tracked = call.tracked
        facts = tracked.facts if tracked is not None else read_wsgi_request(call.environ, self._settings)
        return self._resolver.client_address(facts)

    def _throttled(self, seconds: float) -> ClientAnswer:
        _rate_log.log(
            logger,
            logging.WARNING,
            "The client API refused a call: one address made more than %d in a minute. Behind a proxy, set "
            "OTEL_USAGE_TRUSTED_PROXIES, or all visitors count as one; else raise OTEL_USAGE_CLIENT_API_CALLS_PER_MINUTE",
            self._settings.client_api_calls_per_minute,
        )
        whole = math.ceil(seconds)
        text = f"Request was throttled. Expected available in {whole} second{'s' if whole > 1 else ''}."
        return refusal(429, {"detail": text}, ("Retry-After", str(whole)))

    def _record(
        self,
        active: Runtime,
        call: ClientCall,
        activity: Activity,
        base: str,
        received_ns: int,
    ) -> None:
        tracked = call.tracked
        page = read_page(activity.path, base)
        reason = tracked.reason_to_filter(names.ACTIVITY) if tracked is not None else ""
        reason = reason or self._scope.reason_to_filter_page(page.path)
        if reason:
            active.accounting.add_filtered(reason)
            return
        attributes: dict[str, AttributeValue] = {
            **page.attributes(self._secrets),
            **compare_clocks(activity.date, received_ns).properties(),
        }
        if activity.referrer:
            attributes[names.REFERRER_URL] = bounded(
                redact_url(activity.referrer, self._secrets), names.MAX_TEXT
            )
        if tracked is None:
            make_event_span(active.tracer, names.ACTIVITY, received_ns, attributes)
            return
        if self._asks_for_user and not tracked.facts.opted_out:
            try:
                call.load_user()
            except Exception as error:  # of the app
                report_error(error)
        tracked.add_event(names.ACTIVITY, received_ns, attributes)


class _TooBig(Exception):
    pass


def _read_body(call: ClientCall) -> bytes:
    length = str(call.environ.get("CONTENT_LENGTH") or "")
    # Before anything is read: a client may announce what it never sends.
    if length.isascii() and length.isdigit() and (len(length) > 9 or int(length) > MAX_BODY_BYTES):
        raise _TooBig
    try:
        body = call.read_body(MAX_BODY_BYTES + 1)
    except OSError:
        raise BadBody("The body did not arrive.") from None
    if len(body) > MAX_BODY_BYTES:
        raise _TooBig
    return body


def _header_reader(environ: Mapping[str, Any]) -> Callable[[str], str]:
    def header(name: str) -> str:
        value = str(environ.get(f"HTTP_{name}", ""))
        # WSGI hides the bytes of a header in latin-1; Django's ASGI handler does the same.
        return value if value.isascii() else value.encode("latin-1", "replace").decode("utf-8", "replace")

    return header


def _base_url(calling: CallingSite, own: OwnSite) -> str:
    """Return against what a path is read: the page that calls, else its site, else this one."""
    if calling.referrer:
        return calling.referrer
    if calling.origin and calling.origin != "null":
        return f"{calling.origin}/"
    return f"{'https' if own.is_https else 'http'}://{own.host}/"


_api: ClientApi | None = None


def answer_call(call: ClientCall) -> ClientAnswer:
    """Answer a call by what is in force in this process."""
    global _api
    active = runtime()
    api = _api
    if api is None or api.active is not active:
        api = _api = ClientApi(active)
    return api.answer(call)
