"""Journals of each schema version, as they were written then. They must replay to the same outcome for ever.

``python -m tests.durable.golden.write`` writes those that are missing, and never touches one that is there: when the
schema changes, add a version here and keep the old files.
"""
