"""Sales funnel: how many visits that see the pitch reach the end of a sale, without those who are signed in."""

from flask import Flask, request, session

from otel_usage import Visit, enable_visit_plugin, reached


class SaleMonitor:
    stages = {"/": "pitch", "/index": "pitch", "/billing": "billing", "/sale_complete": "sale"}

    def record_request(self, visit: Visit) -> None:
        stage = self.stages.get(request.path)
        if stage and "user" not in session:
            reached("sale_to_guests", stage)


enable_visit_plugin(SaleMonitor())

app = Flask(__name__)
app.config.from_prefixed_env()  # FLASK_SECRET_KEY


@app.get("/")
@app.get("/index")
@app.get("/billing")
@app.get("/sale_complete")
def page() -> str:
    return request.path


@app.get("/sign_in")
def sign_in() -> str:
    session["user"] = "anna"
    return "Welcome back"
