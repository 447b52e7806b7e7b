"""An application that notes every request that it gets, WebSockets included, one
line each: its type, method, path and what it has of Step-Up-*. A WebSocket is an
echo. Arguments: "hypercorn PORT FILE", which speaks HTTP/2 without TLS as Debian's
does by default, or "uvicorn PORT FILE"."""
import asyncio
import os
import sys

server, port = sys.argv[1], int(sys.argv[2])
notes = os.open(sys.argv[3], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    said = [k + b"=" + v for k, v in scope["headers"] if k.startswith(b"step")]
    target = scope.get("raw_path") or scope["path"]
    if isinstance(target, str):  # uvicorn's of a WebSocket
        target = target.encode()
    note = "%s %s %r %r\n" % (scope["type"], scope.get("method", "-"), target + b"?" + scope["query_string"], said)
    os.write(notes, note.encode())
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


if server == "uvicorn":
    import uvicorn

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", ws="wsproto", http="h11")
else:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = ["127.0.0.1:%d" % port]
    config.errorlog = None
    asyncio.run(serve(app, config))
