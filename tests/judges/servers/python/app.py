"""Flask and Starlette as applications use them: path converters, mounts,
typed parameters and forms. Arguments: "flask PORT" on Werkzeug's WSGI reading
of the path under Hypercorn, "starlette PORT" on Hypercorn, "uvicorn PORT"."""
import asyncio
import json
import sys
import xml.etree.ElementTree as xml

kind, port = sys.argv[1], int(sys.argv[2])
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def judge_app(values):
    return "FORM" if any(v in ("withdraw", "pay") for v in values) else "PUBLIC"


def judge_neg(values):
    return "NEG" if any(v != "login" for v in values) else "PUBLIC"


def method_of(raw, encoding=None):
    """What json makes of a body: it tells UTF-8, -16 and -32 apart by itself."""
    try:
        value = json.loads(raw.decode(encoding) if encoding else raw)
        return value.get("method") if isinstance(value, dict) else None
    except (ValueError, LookupError):
        return None


def judge_rpc(method):
    return "RPC" if method == "torrent-remove" else "PUBLIC"


def judge_rpcneg(method):
    return "RPCNEG" if method is not None and method != "torrent-get" else "PUBLIC"


def xml_values(raw):
    try:
        return [e.text for e in xml.fromstring(raw).iter("op")]
    except (xml.ParseError, ValueError, LookupError):
        return []


def json_values(raw):
    try:
        value = json.loads(raw)
    except ValueError:
        return []
    op = value.get("op") if isinstance(value, dict) else None
    return [] if op is None else op if isinstance(op, list) else [op]


def flask_app():
    from flask import Flask, request

    app = Flask(__name__)

    def ran(handler):
        return {"handler": handler}, 200, {"X-Ran": handler}

    def values():
        found = request.values.getlist("op") + request.values.getlist("op[]")
        if "xml" in (request.content_type or ""):
            found += xml_values(request.get_data())
        elif request.mimetype not in ("application/x-www-form-urlencoded", "multipart/form-data"):
            found += json_values(request.get_data())
        return found

    @app.route("/admin/", methods=METHODS)
    @app.route("/admin/<path:rest>", methods=METHODS)
    def admin(rest=""):
        return ran("ADMIN")

    @app.route("/transfer/<what>", methods=METHODS)
    def transfer(what):
        return ran("TRANSFER")

    @app.route("/exact", methods=METHODS)
    def exact():
        return ran("EXACT")

    @app.route("/view/<id>", methods=METHODS)
    def view(id):
        return ran("VIEW")

    @app.route("/item/<id>", methods=["DELETE"])
    def erase(id):
        return ran("ERASE")

    @app.route("/app", methods=METHODS)
    def form():
        return ran(judge_app(values()))

    @app.route("/neg", methods=METHODS)
    def neg():
        return ran(judge_neg(values()))

    @app.route("/rpc", methods=METHODS)
    def rpc():
        return ran(judge_rpc(method_of(request.get_data(), request.mimetype_params.get("charset"))))

    @app.route("/rpcneg", methods=METHODS)
    def rpcneg():
        return ran(judge_rpcneg(method_of(request.get_data(), request.mimetype_params.get("charset"))))

    @app.errorhandler(404)
    @app.errorhandler(405)
    def other(e):
        return ran("PUBLIC")

    class Override:
        """The middleware of Flask's documentation."""

        def __init__(self, app):
            self.app = app

        def __call__(self, environ, start_response):
            method = environ.get("HTTP_X_HTTP_METHOD_OVERRIDE", "").upper()
            if method in METHODS:
                environ["REQUEST_METHOD"] = method
            return self.app(environ, start_response)

    app.wsgi_app = Override(app.wsgi_app)
    return app


def starlette_app():
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Mount, Route

    def ran(handler):
        return JSONResponse({"handler": handler}, headers={"X-Ran": handler})

    def answer(handler):
        async def endpoint(request):
            return ran(handler)
        return endpoint

    class Whole:
        """An application that is mounted and answers everything below."""

        def __init__(self, handler):
            self.handler = handler

        async def __call__(self, scope, receive, send):
            await ran(self.handler)(scope, receive, send)

    async def values(request):
        form = await request.form()
        found = [v for k, v in list(form.multi_items()) + list(request.query_params.multi_items()) if k == "op"]
        kind = request.headers.get("content-type", "")
        if "urlencoded" not in kind and "multipart" not in kind:
            found += json_values(await request.body())
        return found

    async def form(request):
        return ran(judge_app(await values(request)))

    async def neg(request):
        return ran(judge_neg(await values(request)))

    async def rpc(request):
        return ran(judge_rpc(method_of(await request.body())))

    async def rpcneg(request):
        return ran(judge_rpcneg(method_of(await request.body())))

    async def other(request, exc):
        return ran("PUBLIC")

    return Starlette(routes=[
        Mount("/admin", Whole("ADMIN")),
        Route("/transfer/{what}", answer("TRANSFER"), methods=METHODS),
        Route("/exact", answer("EXACT"), methods=METHODS),
        Mount("/view", routes=[Route("/{id}", answer("VIEW"), methods=METHODS)]),
        Route("/item/{id}", answer("ERASE"), methods=["DELETE"]),
        Route("/app", form, methods=METHODS),
        Route("/neg", neg, methods=METHODS),
        Route("/rpc", rpc, methods=METHODS),
        Route("/rpcneg", rpcneg, methods=METHODS),
        Mount("/", Whole("PUBLIC")),
    ], exception_handlers={404: other, 405: other})


def main():
    app = flask_app() if kind == "flask" else starlette_app()
    if kind == "uvicorn":
        import uvicorn
        uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", timeout_keep_alive=120)
        return
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from hypercorn.middleware import AsyncioWSGIMiddleware
    config = Config()
    config.bind = ["127.0.0.1:%d" % port]
    config.keep_alive_timeout = 120
    asyncio.run(serve(AsyncioWSGIMiddleware(app, max_body_size=2 << 20) if kind == "flask" else app, config))


main()
