"""The app that gunicorn serves in the outage benchmark; it imports Flask and nothing of ours."""

from __future__ import annotations

from flask import Flask

app = Flask("shop")
app.secret_key = "benchmark"


@app.get("/item/<int:number>")
def item(number: int) -> str:
    return f"item {number}"
