"""IP per visit: once for each visit, note from which of our networks it came."""

from ipaddress import ip_address, ip_network

from flask import Flask, request
from werkzeug.middleware.proxy_fix import ProxyFix

from otel_usage import Visit, enable_visit_plugin

NETWORKS = {
    "office": [ip_network("192.0.2.0/24"), ip_network("2001:db8:0ff1::/48")],
    "warehouse": [ip_network("198.51.100.0/24")],
}


class NetworkPerVisit:
    def new_visit(self, visit: Visit) -> dict[str, str]:
        client = ip_address(request.remote_addr or "")
        for name, networks in NETWORKS.items():
            if any(client in network for network in networks):
                return {"network": name}
        return {"network": "elsewhere"}


enable_visit_plugin(NetworkPerVisit())

app = Flask(__name__)
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1)  # one proxy before us, which appends the client's address


@app.get("/")
def home() -> str:
    return "Welcome"
