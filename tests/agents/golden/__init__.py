"""Journals of the demo's teams, as a worker recorded them once: what runs that are parked now will be gone on with.

One for each schema version and story, with the body that the run had. Written by ``write``, never by a test.
"""
