"""The style sheet: states and texts are readable in both themes. Ratios by WCAG 2.1, relative luminance (SC 1.4.3)."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

CSS = files("mainstay.doors.web").joinpath("static", "mainstay.css").read_text()


def variables(selector: str) -> dict[str, str]:
    block = re.search(re.escape(selector) + r"\s*\{([^}]*)\}", CSS)
    assert block, selector
    return dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6})", block[1]))


LIGHT = variables("\n:root")
DARK = variables('\n  :root[data-theme="dark"]')
THEMES = {"light": LIGHT, "dark": DARK}


def luminance(colour: str) -> float:
    parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_measure_of_contrast_is_right() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # WebAIM's checker says 4.48


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("text", ["text", "quiet", "accent", "healthy", "at-risk", "violated", "no-data"])
@pytest.mark.parametrize("ground", ["ground", "surface"])
def test_every_text_is_readable_on_every_ground(theme: str, text: str, ground: str) -> None:
    assert contrast(THEMES[theme][text], THEMES[theme][ground]) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
def test_texts_on_colour_are_readable(theme: str) -> None:
    colours = THEMES[theme]
    assert contrast(colours["on-accent"], colours["accent"]) >= 4.5
    assert contrast(colours["violated"], colours["violated-ground"]) >= 4.5
    assert contrast(colours["text"], colours["violated-ground"]) >= 4.5
    assert contrast(colours["at-risk"], colours["at-risk-ground"]) >= 4.5
    assert contrast(colours["text"], colours["grid"]) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("state", ["healthy", "at-risk", "violated", "accent"])
def test_the_filled_part_of_a_bar_stands_out_from_the_empty_one(theme: str, state: str) -> None:
    assert contrast(THEMES[theme][state], THEMES[theme]["line"]) >= 3.0


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("ground", ["ground", "surface"])
def test_the_edge_of_a_field_is_seen(theme: str, ground: str) -> None:
    assert contrast(THEMES[theme]["edge"], THEMES[theme][ground]) >= 3.0  # WCAG 2.1 SC 1.4.11, parts of controls


def test_every_field_has_that_edge() -> None:
    controls = r"^((?:\S* ?)(?:input|select|textarea|button)[^{\n]*)\{([^}]*border: 1px[^;]*;)"
    fields = re.findall(controls, CSS, re.MULTILINE)
    assert len(fields) >= 2
    assert [selector for selector, rules in fields if "var(--edge)" not in rules] == []


def test_the_dark_theme_is_the_same_by_system_and_by_choice() -> None:
    assert variables(':root:not([data-theme="light"])') == DARK
    assert set(DARK) == set(LIGHT)


def test_only_the_type_scale_is_used() -> None:
    sizes = {int(size) for size in re.findall(r"font-size:\s*(\d+)px", CSS)}
    assert sizes <= {13, 14, 16, 20, 28}  # 13: the ticks inside a chart
