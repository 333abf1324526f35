"""Figures derived from the journal. Nothing in the domain calls it; all of it can be thrown away and read again.

reading    what has changed in the journal, by the transaction that wrote it
facts      a row of the journal -> what it contributes (pure)
cells      contributions -> rows of the rollups (pure); histogram: the mergeable histograms in them (pure)
projector  brings the rollups up to date, a batch a transaction; storing and kept are its statements
recount    counts everything again and compares: manage.py verify_rollups
query      what dashboards, alerts and the API ask; figures: every figure by its name
"""
