"""Who the user of a Flask request is, as far as the app has found out anyway."""

from __future__ import annotations

import flask
from flask.ctx import RequestContext

from otel_usage.instrumentation.guard import report_error


def signed_in_user(context: RequestContext) -> str:
    """Return the user that Flask-Login has loaded already; looking it up would be a query of ours."""
    if getattr(context.app, "login_manager", None) is None:
        return ""
    try:
        user = flask.g.get("_login_user")
        if user is None or user.is_anonymous:
            return ""
        # The session has the id as text. Asking an object that the app's database session has expired would
        # load it again.
        return str(context.session.get("_user_id") or user.get_id() or "")
    except Exception as error:  # of a user class of the app
        report_error(error)
        return ""
