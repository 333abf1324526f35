"""The charting library that another package ships is where settings look for it."""

from pathlib import Path

from django.contrib.staticfiles import finders


def test_chart_js_is_the_version_that_charts_are_written_for() -> None:
    path = finders.find("chart.js/chart.js")
    assert path, (
        "django-unfold no longer ships static/unfold/js/chart/chart.js: see STATICFILES_DIRS in console/settings.py"
    )
    text = Path(path).read_text(encoding="utf-8")
    assert 'version="4.' in text and 'id="logarithmic"' in text
