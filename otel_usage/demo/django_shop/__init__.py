"""The same shop in plain Django, as `otel-usage demo --framework django` runs it.

Like its sister it counts nothing. The views that import otel_usage are those that want to say more than a request
does: which product was looked at, and that an order was placed.
"""
