"""The Celery application: ``celery -A console.celery worker -P threads``.

A broker message is a hint to look, never a record: the lease in Postgres says who may advance a run, and the sweeper
finds what a lost message forgot. So tasks are acknowledged early and no result is kept.
"""

from __future__ import annotations

import os

from celery import Celery

from console import broker, hops, tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
os.environ.setdefault("SAYSO_DB_POOL", "6")  # of the ten connections a worker process may hold; the writer has its own

# Celery would run all of Django's checks, and import every page for them, in each worker and in beat; CI runs them.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

broker.use()
app = Celery("sayso", include=["console.worker"])
app.config_from_object("django.conf:settings", namespace="CELERY")

app.conf.beat_schedule = {
    "sweep": {
        "task": "console.worker.sweep",
        "schedule": 1.0,  # seconds
        "options": {"expires": 5.0},  # sweeps do not pile up while no worker looks
    },
    "deliver": {
        "task": "console.worker.deliver",
        "schedule": 1.0,
        "options": {"expires": 5.0},
    },
    "project": {
        "task": "console.worker.project",
        "schedule": 1.0,
        "options": {"expires": 5.0},
    },
    "alert": {
        "task": "console.worker.alert",
        "schedule": 60.0,
        "options": {"expires": 50.0},
    },
    "prune": {
        "task": "console.worker.prune",
        "schedule": 600.0,
        "options": {"expires": 60.0},
    },
}

if tracing.exported():
    hops.connect()
    app.conf.beat_schedule["tell"] = {
        "task": "console.worker.tell",
        "schedule": 2.0,
        "options": {"expires": 10.0},
    }
