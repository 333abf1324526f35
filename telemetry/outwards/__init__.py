"""What other programs are told: traces and metrics by OpenTelemetry, and figures for Prometheus.

Read it in this order:

``trees``       what a run's journal comes to as a tree of spans; plain data, standard library alone
``reading``     which runs have something to tell, and their facts, from Postgres
``sending``     one round: claim, read, send, and keep how far it came
``otlp``        OpenTelemetry's SDK: our spans as its own, its exporters, instruments, and the spans of HTTP requests and messages
``gauges``      what Postgres and Valkey say about the installation at this moment
``exposition``  the same as Prometheus reads it, and who may read it

Everything about runs is derived from the journal, afterwards, with ids that come of what a span is about: whoever sends
it, and however often, a run is one tree. The names are those of the GenAI semantic conventions 1.41 (the SDK has them in
``opentelemetry.semconv._incubating.attributes.gen_ai_attributes``); what they have no word for is ``sayso.*``.

Without OTEL_EXPORTER_OTLP_ENDPOINT (or its variable for traces) none of this is imported by a worker.
"""
