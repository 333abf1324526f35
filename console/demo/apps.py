"""The demo app. It has no tables."""

from django.apps import AppConfig

from console.demo.tools import TOOLS
from console.workflows import catalogue


class DemoConfig(AppConfig):
    """Puts the demo's tools into the catalogue of every process."""

    name = "console.demo"
    label = "demo"

    def ready(self) -> None:
        for spec in TOOLS:
            catalogue.register(spec)
