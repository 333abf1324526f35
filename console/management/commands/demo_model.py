"""``manage.py demo_model --port P``: the OpenAI-compatible model server of the demo."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand

from console.demo import model


class Command(BaseCommand):
    help = "Serve the demo model: an OpenAI-compatible endpoint that answers from the messages alone."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        model.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        model.serve(options["host"], options["port"], options["latency"] / 1000)
