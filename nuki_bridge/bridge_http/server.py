"""The interface's HTTP server: connections, tokens, and what is answered to whoever has none.

Every call is a GET, and its parameters hold the token: neither a path that is unknown nor what stands behind one is
ever logged.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Callable
from http import HTTPStatus

from nuki_bridge.allowance import Allowance
from nuki_bridge.bridge_http.endpoints import PATHS, Call, Endpoints, Refused, Reply, parameters
from nuki_bridge.bridge_http.token import NoToken, NotYet, Tokens
from nuki_bridge.kinds import Secret
from nuki_bridge.mqtt.payload import dump
from nuki_bridge.web import http
from nuki_bridge.web.http import BadRequest, Head, answer
from nuki_bridge.web.limits import Limits, Place
from nuki_bridge.web.listener import ANSWER_S, HEAD_S, MAX_REQUESTS, NEXT_S, Connection, Listener

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 48
"""Most connections in all."""
MAX_OF_ONE = 16
"""Most connections from one address; a program has one or two."""
AUTH_S = 60.0
"""Seconds for which the owner's signal has `/auth` hand out the token, once; some programs ask every 30 s."""
CLOSED_S = 2.0
"""Seconds for which a client may take to close a connection after its last answer."""
WARNINGS = (5, 1 / 60)
"""Wrong tokens that are logged: how many at once, and how many more in a second."""
NO_SUCH_CALL = "there is no such call here"
"""The answer to a call that does not exist, by which `doctor` knows this program."""
JSON = "application/json"


class ApiServer(Listener):
    """Answers calls by `endpoints` to whoever has the token; `clock` gives seconds."""

    def __init__(
        self,
        endpoints: Endpoints,
        tokens: Tokens,
        token: Secret,
        clock: Callable[[], float],
        limits: Limits | None = None,
    ) -> None:
        super().__init__(limits or Limits(clock, in_all=MAX_CONNECTIONS, of_one=MAX_OF_ONE), section="bridge_api.")
        self._endpoints = endpoints
        self._tokens = tokens
        self._token = token
        self._clock = clock
        self._auth_until = -math.inf
        self._warnings = Allowance(*WARNINGS, clock)

    def open_auth(self) -> None:
        """The owner has given the signal: the next who asks `/auth` gets the token."""
        self._auth_until = self._clock() + AUTH_S
        log.warning("for %.0f s the token is handed out to the first program that asks for it", AUTH_S)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, place: Place) -> None:
        """One call after the other."""
        connection = writer.transport.get_protocol()
        assert isinstance(connection, Connection)
        client = str(writer.get_extra_info("peername")[0])
        before: Reply | None = None
        for number in range(MAX_REQUESTS):
            try:
                async with asyncio.timeout(NEXT_S if number else HEAD_S):
                    data = await reader.readuntil(b"\r\n\r\n")
                head = http.parse(data)
            except asyncio.LimitOverrunError:
                writer.write(_refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the call is too large", closes=True))
                await _is_taken(reader, writer)
                return
            except BadRequest as error:
                writer.write(_refusal(error.status, str(error), closes=True))
                await _is_taken(reader, writer)
                return
            except (OSError, EOFError):
                if before is not None:
                    (before.lost if connection.reset else before.taken)()
                return
            if before is not None:
                before.taken()
                before = None
            closes = head.closes or number == MAX_REQUESTS - 1 or self.stopping.is_set()
            try:
                before = await self.reply(head, client, place, connection.gone)
                writer.write(answer(HTTPStatus.OK, before.body, content_type=JSON, closes=closes))
            except Refused as error:
                writer.write(_refusal(error.status, str(error), closes=closes))
            except BadRequest as error:
                writer.write(_refusal(error.status, str(error), {"Allow": "GET"}, closes=closes))
            if not closes:
                async with asyncio.timeout(ANSWER_S):
                    await writer.drain()
                continue
            taken = await _is_taken(reader, writer) and not connection.reset
            if before is not None:
                (before.taken if taken else before.lost)()
            return

    async def reply(self, head: Head, client: str, place: Place, gone: asyncio.Event) -> Reply:
        """Answer one call; raises `Refused`, or `BadRequest` for what is no GET."""
        if head.path not in PATHS and head.path != "/auth":
            raise Refused(HTTPStatus.NOT_FOUND, NO_SUCH_CALL)
        if head.method != "GET":
            raise BadRequest(HTTPStatus.METHOD_NOT_ALLOWED, "every call is a GET")
        if head.path == "/auth":
            return self._auth(client)
        query = parameters(head.query)
        if place.client.counted and place.client.logins.empty:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "too many wrong tokens came from this address")
        try:
            self._tokens.check(query)
        except NoToken:
            place.client.logins.take()
            if self._warnings.take():
                log.warning("a call from %s was refused: its token is wrong, out of date or was used before", client)
            raise Refused(HTTPStatus.UNAUTHORIZED, "the token is wrong, out of date or was used before") from None
        except NotYet:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "this call is too old to be known; make a new one") from None
        place.established = True
        return await self._endpoints.answer(head.path, Call(query, client, gone))

    def _auth(self, client: str) -> Reply:
        if self._clock() >= self._auth_until:
            raise Refused(HTTPStatus.FORBIDDEN, "the owner has not switched this on")
        self._auth_until = -math.inf
        log.warning("the token was handed out to %s", client)
        return Reply(dump({"token": self._token.reveal(), "success": True}))


def _refusal(status: HTTPStatus, sentence: str, fields: dict[str, str] | None = None, *, closes: bool) -> bytes:
    """Return the answer to a call that is not carried out, as JSON.

    FHEM takes an answer with the word "error" for one, any other for success, and ends if it is no JSON; a 503 is not
    to be taken for an error in the call.
    """
    key = "message" if status == HTTPStatus.SERVICE_UNAVAILABLE else "error"
    body = json.dumps({"success": False, key: sentence}).encode()
    return answer(status, body, fields, content_type=JSON, closes=closes)


async def _is_taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Let the last answer arrive; return False if the client had hung up before it could read that."""
    try:
        async with asyncio.timeout(CLOSED_S):
            await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
            while await reader.read(http.MAX_HEAD_SIZE):
                pass
    except TimeoutError:
        return True
    except OSError:
        return False
    return True
