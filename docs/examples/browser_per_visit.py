"""Browser per visit: once for each visit, note whether the shop's own mobile app or a browser came."""

import re

from flask import Flask, request

from otel_usage import Visit, enable_visit_plugin

OWN_APP = re.compile(r"\bShopApp/(\d+\.\d+)")


class BrowserPerVisit:
    def new_visit(self, visit: Visit) -> dict[str, str]:
        found = OWN_APP.search(request.user_agent.string)
        return {"client": "app", "app_version": found[1]} if found else {"client": "browser"}


enable_visit_plugin(BrowserPerVisit())

app = Flask(__name__)


@app.get("/")
def home() -> str:
    return "Welcome"
