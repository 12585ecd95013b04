"""Dashboard: the routes beside the pages: pictures, lists for the grid, decisions. Each asks who is there.

Every route reads a token, finds the person, and asks for the right: 401 is nobody we know, 403 is somebody
who may not, 404 is nothing there, 422 is what can't be understood.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from core.errors import BadInput, DreamlineError
from dashboard import access, changes, lineage, questions
from dashboard.listing import read_items
from dashboard.office import Office, office
from orchestrator.previews import SIDES
from orchestrator.records.contents import NAME, ContentMissing
from orchestrator.reviewing import leases
from orchestrator.reviewing.decisions import decide
from orchestrator.reviewing.people import Actor, Forbidden, Right
from orchestrator.reviewing.wishes import MOST_AT_ONCE, Verdict, Wish
from orchestrator.running import wake_all

log = logging.getLogger("dreamline.dashboard")

LARGEST_BODY = 2_000_000


class _Sent(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SentDecision(_Sent):
    """One decision as the grid sends it; see `Wish`."""

    id: uuid.UUID
    item: int
    version: int
    seen: uuid.UUID | None
    verdict: Verdict
    reasons: list[str] = Field(default=[], max_length=20)
    again: bool = False
    comment: str = ""
    pins: list[dict[str, Any]] = Field(default=[], max_length=50)
    undoes: uuid.UUID | None = None
    milliseconds: int = 0
    sha: str | None = Field(default=None, max_length=64)


class SentDecisions(_Sent):
    campaign: str
    decisions: list[SentDecision] = Field(max_length=MOST_AT_ONCE)


class SentLease(_Sent):
    campaign: str
    items: list[int] = Field(max_length=500)


def routes() -> list[Route]:
    """All routes of our own."""
    return [
        Route("/img/{size}/{sha256}", _picture),
        Route("/img/{rest:path}", _nothing),
        Route("/api/items", _items),
        Route("/api/item", _item),
        Route("/api/changes", _changes),
        Route("/api/decisions", _decisions, methods=["POST"]),
        Route("/api/leases", _leases, methods=["POST"]),
        Route("/api/{rest:path}", _nothing, methods=["GET", "POST"]),
        Route("/healthz", _health),
    ]


Handler = Callable[[Request], Any]


def _answered(work: Callable[[Office, Request, bytes], Response]) -> Handler:
    """Runs a route's work in a thread, and turns refusals into statuses."""

    @wraps(work)
    async def handle(request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_BODY:
                return _refusal(413, "more than 2 MB at once")
        return await run_in_threadpool(_answer, work, request, body)

    return handle


def _answer(work: Callable[[Office, Request, bytes], Response], request: Request, body: bytes) -> Response:
    try:
        return work(office(), request, body)
    except access.Unknown as error:
        return _refusal(401, str(error))
    except Forbidden as error:
        return _refusal(403, str(error))
    except (BadInput, ValidationError) as error:
        return _refusal(422, str(error))
    except DreamlineError as error:
        log.warning("%s: %s", request.url.path, error)
        return _refusal(503, str(error))


def _refusal(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status, headers={"Cache-Control": "no-store"})


def _actor(office: Office, request: Request) -> Actor:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return access.read(office, token if scheme == "Bearer" else "", "act")


def _fresh(value: Any) -> Response:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return Response(text, media_type="application/json", headers={"Cache-Control": "no-store"})


@_answered
def _picture(office: Office, request: Request, body: bytes) -> Response:
    """A preview (`thumb`, `view`) or the original (`full`) of a picture of campaign `c`."""
    campaign, sha256, size = request.query_params.get("c", ""), request.path_params["sha256"], ""
    actor = access.read(office, request.query_params.get("t", ""), "see")
    size = request.path_params["size"]
    if not NAME.fullmatch(sha256) or size not in (*SIDES, "full"):
        return _refusal(404, "there is no such picture")
    actor.require(Right.SEE, campaign)
    with office.database.begin() as connection:
        if not changes.shows(connection, campaign, sha256):
            elsewhere = lineage.is_known(connection, sha256)
            return _refusal(403 if elsewhere else 404, f"no picture {sha256[:12]}… of this campaign")
    headers = {
        "Cache-Control": "private, max-age=86400, immutable",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    try:
        if size != "full":
            return Response(office.previews.get(sha256, size), media_type="image/webp", headers=headers)
        stream = office.store.open_stream(sha256)
    except (ContentMissing, OSError):
        return _refusal(404, "the picture is gone from the store")
    first = stream.read(1 << 16)
    headers["Content-Disposition"] = f'inline; filename="{sha256[:16]}{_ending(first)}"'

    def parts() -> Any:
        with stream:
            piece = first
            while piece:
                yield piece
                piece = stream.read(1 << 16)

    return StreamingResponse(
        parts(), media_type=_MEDIA.get(_ending(first), "application/octet-stream"), headers=headers
    )


_MEDIA = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif"}


def _ending(first: bytes) -> str:
    """By the first bytes, whatever the file was called: what a browser might run is never named as such."""
    if first.startswith(b"\x89PNG"):
        return ".png"
    if first.startswith(b"\xff\xd8\xff"):
        return ".jpg"
    if first[:4] == b"RIFF" and first[8:12] == b"WEBP":
        return ".webp"
    return ".gif" if first.startswith(b"GIF8") else ".bin"


@_answered
def _items(office: Office, request: Request, body: bytes) -> Response:
    asked = request.query_params
    actor = _actor(office, request)
    campaign = asked.get("campaign", "")
    actor.require(Right.SEE, campaign)
    order = asked.get("order", "row")
    question = questions.Question(
        campaign=campaign,
        verdict=asked.get("verdict", "open"),
        format=asked.get("format", ""),
        reason=asked.get("reason", ""),
        search=asked.get("search", "")[:200],
        order=order if order in questions.ORDERS else "row",
        score=asked.get("score", ""),
        limit=_number(asked.get("limit"), questions.MOST),
        offset=_number(asked.get("offset"), 0),
    )
    with office.database.begin() as connection:
        return _fresh(read_items(connection, question).as_dict())


@_answered
def _item(office: Office, request: Request, body: bytes) -> Response:
    actor = _actor(office, request)
    item = _number(request.query_params.get("id"), 0)
    with office.database.begin() as connection:
        found = lineage.read_detail(connection, actor, item)
    if found is None:
        return _refusal(404, "there is no such item")
    actor.require(Right.SEE, found["campaign"])
    return _fresh(found)


@_answered
def _changes(office: Office, request: Request, body: bytes) -> Response:
    actor = _actor(office, request)
    campaign = request.query_params.get("campaign", "")
    actor.require(Right.SEE, campaign)
    with office.database.begin() as connection:
        return _fresh(changes.read_changes(connection, campaign, _number(request.query_params.get("after"), 0)))


@_answered
def _decisions(office: Office, request: Request, body: bytes) -> Response:
    actor = _actor(office, request)
    actor.require(Right.DECIDE)
    sent = SentDecisions.model_validate_json(body)
    wishes = [
        Wish(
            id=one.id,
            item=one.item,
            version=one.version,
            seen=one.seen,
            verdict=one.verdict,
            reasons=tuple(one.reasons),
            again=one.again,
            comment=one.comment,
            pins=tuple(one.pins),
            undoes=one.undoes,
            milliseconds=one.milliseconds,
            sha=one.sha or "",
        )
        for one in sent.decisions
    ]
    answers = decide(office.database, office.registry, actor, sent.campaign, wishes)
    if any(answer.attempt for answer in answers):
        wake_all(office.settings)
    return _fresh({"answers": [answer.as_dict() for answer in answers]})


@_answered
def _leases(office: Office, request: Request, body: bytes) -> Response:
    actor = _actor(office, request)
    sent = SentLease.model_validate_json(body)
    actor.require(Right.DECIDE, sent.campaign)
    with office.database.begin() as connection:
        others = leases.take(connection, sent.campaign, sent.items, actor.name)
    return _fresh({"others": {str(item): name for item, name in others.items()}})


async def _nothing(request: Request) -> Response:
    """What is none of our addresses; without this, Streamlit would answer with its page."""
    return _refusal(404, "there is nothing here")


async def _health(request: Request) -> Response:
    """Whether the database answers; for load balancers, and without a login."""

    def look() -> None:
        with office().database.begin() as connection:
            connection.exec_driver_sql("select 1")

    try:
        await run_in_threadpool(look)
    except DreamlineError:
        return JSONResponse({"status": "the database does not answer"}, 503)
    return JSONResponse({"status": "ok"})


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 18 else otherwise
