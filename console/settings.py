"""Settings. Everything that differs between installations comes from the environment (see ``console.environment``)."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import structlog
from django.core.exceptions import ImproperlyConfigured

from console import environment, logs, queues

BASE_DIR = Path(__file__).resolve().parent.parent

try:
    SECRET_KEY = environment.read("SAYSO_SECRET_KEY")
    SAYSO_MASTER_KEY = environment.read(
        "SAYSO_MASTER_KEY"
    )  # base64 or hexadecimal; console.environment.master_key reads it
    DATABASE_URL = environment.read("DATABASE_URL", "postgresql:///sayso")
    OWNER_URL = environment.read("SAYSO_OWNER_DATABASE_URL", DATABASE_URL)
    REDIS_URL = environment.redis_url(environment.read("REDIS_URL", "redis://127.0.0.1:6379/0"))
    CELERY_BROKER_URL = environment.broker_url(REDIS_URL)
    # Who may read /metrics from another machine; and how many tenants are named there, those with the most runs.
    SAYSO_METRICS_TOKEN = environment.read("SAYSO_METRICS_TOKEN")
    SAYSO_METRICS_TENANTS = environment.number("SAYSO_METRICS_TENANTS", 100)
    if SAYSO_MASTER_KEY:
        environment.master_key(SAYSO_MASTER_KEY)

    # Mail: without SAYSO_SMTP_URL none is sent, and pages say so.
    globals().update(environment.mail(environment.read("SAYSO_SMTP_URL"), environment.read("SAYSO_MAIL_FROM")))

    # Connections are pooled where a process serves many requests at once (asgi.py and celery.py say how many).
    _POOL = int(os.environ.get("SAYSO_DB_POOL", "0"))
    _POOLED = {"pool": {"min_size": 1, "max_size": _POOL, "timeout": 10}} if _POOL else {}
    DATABASES = {
        "default": environment.database(
            DATABASE_URL, "sayso_app", CONN_MAX_AGE=0, CONN_HEALTH_CHECKS=True, TEST={"MIRROR": "owner"}
        ),
        "owner": environment.database(OWNER_URL, "sayso_owner", CONN_MAX_AGE=0),
    }
    DATABASES["default"]["OPTIONS"].update(_POOLED)
except ValueError as error:
    raise ImproperlyConfigured(str(error)) from error

if not SECRET_KEY:
    # Commands that need no secret (makemigrations, check) work without an instance; nothing signed survives the process.
    SECRET_KEY = "insecure-" + os.urandom(24).hex()

DEBUG = False
ALLOWED_HOSTS = [h for h in os.environ.get("SAYSO_ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]").split(",") if h]
CSRF_TRUSTED_ORIGINS = [o for o in os.environ.get("SAYSO_TRUSTED_ORIGINS", "").split(",") if o]
HTTPS = os.environ.get("SAYSO_HTTPS", "") == "1"  # behind a proxy that ends TLS

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "django_htmx",
    "console",
    "console.audit",
    "console.tenants",
    "console.workflows",
    "console.runs",
    "console.live",
    "console.demo",
    "approvals",
    "telemetry",
    "telemetry.outwards",
]

MIDDLEWARE = [
    "console.requests.RequestMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "console.csp.ContentSecurityPolicy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "console.tenants.middleware.TenantMiddleware",
    "console.idempotency.IdempotencyMiddleware",  # inside the transaction of the one before
]

ROOT_URLCONF = "console.urls"
ASGI_APPLICATION = "console.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-gb"
USE_I18N = False

# People.
AUTH_USER_MODEL = "tenants.User"
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/queue/"
LOGOUT_REDIRECT_URL = "/login/"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# The browser.
SESSION_COOKIE_NAME = "sayso_session"
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_AGE = 14 * 24 * 3600  # seconds
CSRF_COOKIE_NAME = "sayso_csrf"
CSRF_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]  # probes speak plain HTTP from inside
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0

# The limit of any request body, stated in its refusal: 1 MB.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000  # bytes
FILE_UPLOAD_MAX_MEMORY_SIZE = 1_000_000
DATA_UPLOAD_MAX_NUMBER_FIELDS = 500

# Static files are served from the checkout itself: no collectstatic, no CDN.
STATIC_URL = "/static/"
# Of django-unfold its Chart.js alone, and nothing of its application; a test notices when the file moves.
_UNFOLD = find_spec("unfold")
if _UNFOLD is None or _UNFOLD.origin is None:
    raise ImproperlyConfigured("django-unfold, which ships Chart.js, is not installed: run `uv sync --locked`")
STATICFILES_DIRS = [BASE_DIR / "static", ("chart.js", Path(_UNFOLD.origin).parent / "static/unfold/js/chart")]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = os.environ.get("SAYSO_AUTORELOAD", "") == "1"

# What tools and credentials may reach although it is private: host[:port], comma-separated. The demo model is on it.
DEMO_MODEL_URL = os.environ.get("SAYSO_DEMO_MODEL_URL", "")
SAYSO_EGRESS_ALLOW = [entry.strip() for entry in environment.read("SAYSO_EGRESS_ALLOW").split(",") if entry.strip()]
if DEMO_MODEL_URL:
    SAYSO_EGRESS_ALLOW.append(DEMO_MODEL_URL.split("//", 1)[-1].split("/", 1)[0])
# The commands that MCP servers may be started with here, comma-separated; * is any. Nothing, unless ``up`` owns the stores.
SAYSO_COMMANDS_ALLOW = [each.strip() for each in environment.read("SAYSO_COMMANDS_ALLOW").split(",") if each.strip()]
PUBLIC_URL = os.environ.get("SAYSO_URL", "http://127.0.0.1:8000")

# Celery: see console/celery.py for what has reasons.
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = queues.DEFAULT
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 4

# Logs: for people by default; with SAYSO_LOG=json (or SAYSO_LOG_FORMAT) each line is a JSON object.
LOG_FORMAT = os.environ.get("SAYSO_LOG_FORMAT") or os.environ.get("SAYSO_LOG", "text")
if LOG_FORMAT not in ("text", "json"):
    raise ImproperlyConfigured(f"SAYSO_LOG is {LOG_FORMAT!r}; it can be text or json.")
_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    logs.step,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
_JSON = [structlog.processors.JSONRenderer()]
# Plain tracebacks: the pretty ones print local variables, and with them what tenants entrusted to us.
_TEXT = [structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0, exception_formatter=structlog.dev.plain_traceback)]
structlog.configure(
    processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "structured": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": _SHARED,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                logs.hide,
                *(_JSON if LOG_FORMAT == "json" else _TEXT),
            ],
        }
    },
    "filters": {"without_query": {"()": "console.logs.WithoutQuery"}, "seldom": {"()": "console.logs.Seldom"}},
    "handlers": {
        "nowhere": {"class": "logging.NullHandler"},
        "stderr": {"class": "logging.StreamHandler", "formatter": "structured", "filters": ["seldom"]},
    },
    "root": {"handlers": ["stderr"], "level": os.environ.get("SAYSO_LOG_LEVEL", "INFO").upper()},
    "loggers": {
        "django.server": {"handlers": [], "propagate": True},
        "uvicorn.error": {"filters": ["without_query"]},
        # Names addresses that hold tokens; what matters of it is in the log of the delivery (approvals/notices/chat.py).
        "apprise": {"handlers": ["nowhere"], "propagate": False, "level": "INFO"},
        "autogen_core": {"level": "ERROR"},
        "autogen_agentchat": {"level": "ERROR"},
        "httpx": {"level": "WARNING"},
        "httpx2": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.worker.request": {"level": "WARNING"},  # says of each sweep that came too late that it is discarded
        "celery.app.trace": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        # The sweeper takes the system role several times a second: for the log that is kept, not for the terminal.
        "sayso.system_scope": {"level": "INFO" if LOG_FORMAT == "json" else "WARNING"},
    },
}
if LOG_FORMAT == "json":
    logs.every_line()
