"""What is tracked of a Flask app: its views and blueprints, by the marks that they carry."""

from __future__ import annotations

from flask import Blueprint, Flask
from werkzeug.routing import Rule

from otel_usage.instrumentation.scope import UNKNOWN_PLACE, Place, exclude, include


def include_blueprint(blueprint: Blueprint) -> Blueprint:
    """Track the views of a blueprint, those of its nested ones, its static files, and views that are added later.

    Needed where `OTEL_USAGE_TRACK` is `included`, or inside a blueprint that is excluded. A mark of a view, or of a
    blueprint that is nested nearer to it, goes before this one.

    Returns:
        The blueprint.
    """
    return include(blueprint)


def exclude_blueprint(blueprint: Blueprint) -> Blueprint:
    """Do not track the views of a blueprint, nor those of its nested ones; see `include_blueprint`."""
    return exclude(blueprint)


def place_of(app: Flask, rule: Rule | None) -> Place:
    """Return where in the app a matched rule leads to."""
    return UNKNOWN_PLACE if rule is None else place_of_endpoint(app, rule.endpoint)


def place_of_endpoint(app: Flask, endpoint: str) -> Place:
    """Return the view of an endpoint, and the blueprints that it belongs to."""
    view = app.view_functions.get(endpoint)
    name, dot, _ = endpoint.rpartition(".")
    if not dot:
        return Place(view)
    groups: list[object] = []
    while name:
        blueprint = app.blueprints.get(name)
        if blueprint is not None:
            groups.append(blueprint)
        name = name.rpartition(".")[0]
    return Place(view, tuple(groups))
