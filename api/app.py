"""The application: routes, errors, limits and document of the API.

Not here: the process around it (`__main__`), what the routes answer (`routers`).

Invariant: no route is without a declared permission or the word that it is public; a test walks them.
"""

from typing import Final

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.gzip import GZipMiddleware

from api.document import ALWAYS, BASE, documented
from api.edge import Edge
from api.metrics import Metrics
from api.problems import HANDLERS
from api.routers import control, equity, health, orders, positions, rounds, seats, stream, system
from api.schemas.stream import register
from api.services import Services
from api.writing import Replays

TITLE: Final = "Parley"
_ABOUT: Final = (
    "What the agents of a firm negotiated, and what came of it. Amounts are decimal texts, times RFC 3339 in"
    " UTC; errors are RFC 9457 problems. Clients accept fields and enum values they do not know."
)
# Of the interface, not of the program: within v1 things are only added.
API_VERSION: Final = "1.0.0"


def create_app(services: Services | None) -> FastAPI:
    """Make the application; without services it can be described but not asked."""
    app = FastAPI(
        title=TITLE, version=API_VERSION, description=_ABOUT, openapi_url=f"{BASE}/openapi.json",
        docs_url=None, redoc_url=None, exception_handlers=HANDLERS,
        generate_unique_id_function=_name, responses=ALWAYS,
    )  # fmt: skip
    app.state.services = services
    app.state.replays = Replays()
    for resource in (health, seats, rounds, orders, positions, equity, system, control, stream):
        app.include_router(resource.router)
    register(app)
    app.openapi = documented(app)  # type: ignore[method-assign]
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=4)
    metrics = services.metrics if services is not None else Metrics(API_VERSION)
    app.add_middleware(Edge, metrics=metrics)
    return app


def _name(route: APIRoute) -> str:
    return route.name
