"""Views as HTML: one template a block, everything escaped, everything readable without a script."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mainstay.doors.web import chart as charts
from mainstay.doors.web import lanes
from mainstay.doors.web.links import address
from mainstay.kernel.quantity import State
from mainstay.kernel.view import SIGNS


def when(at: datetime, form: str = "full") -> Markup:
    """An instant: plain UTC, which the page's script turns into the viewer's zone with UTC in the title.

    Args:
        form: `full` (`17 May 2015, 10:05 UTC`), `short` without the year, or `clock`.
    """
    moment = at.astimezone(UTC)
    day = f"{moment.day} {moment:%b}"
    text = {"full": f"{day} {moment:%Y}, {moment:%H:%M} UTC", "short": f"{day} {moment:%H:%M} UTC",
            "clock": f"{moment:%H:%M} UTC"}[form]
    return Markup('<time datetime="{}" title="{}" data-form="{}">{}</time>').format(
        f"{moment:%Y-%m-%dT%H:%M:%SZ}", f"{day} {moment:%Y, %H:%M:%S} UTC", form, text)


def state_mark(state: State) -> Markup:
    """A state as sign, word and colour, the same on every page."""
    sign, word = SIGNS[state]
    return Markup('<span class="state {}"><span class="sign" aria-hidden="true">{}</span> {}</span>').format(
        state.replace("_", "-"), sign, word)


def without_sign(text: str, state: State) -> str:
    """A cell's text without the sign and word that its state draws already."""
    sign, word = SIGNS[state]
    rest = text.strip().removeprefix(sign).strip()
    return rest.removeprefix(word).strip()


def _kind(block: object) -> str:
    return type(block).__name__


def make_environment() -> Environment:
    """The templates, with what they may call."""
    environment = Environment(loader=PackageLoader("mainstay.doors.web"), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(when=when, address=address, kind=_kind, state_mark=state_mark, spark=charts.draw_spark,
                               bar=charts.draw_bar, chart_svg=charts.draw_chart, rows_behind=charts.rows_behind,
                               readings=charts.readings, without_sign=without_sign, lane=lanes.draw_lane,
                               place=lanes.place)
    environment.globals.update(style_of=charts.style_of, SIGNS=SIGNS)
    return environment


ENVIRONMENT = make_environment()


def render_template(template: str, **values: Any) -> Markup:
    """A template with its values, as safe HTML."""
    return Markup(ENVIRONMENT.get_template(template).render(**values))  # noqa: S704  (autoescape is on)
