"""The page for the middle of an incident: is the machinery well, what does it do this second, and what is stuck?

``heartbeats``  what workers and web processes say of themselves, kept in Valkey
``figures``     what Postgres says of runs, queues, leases and notices; of one tenant, or numbers of all
``verdicts``    each figure as a state in words: well, look or trouble, and what helps
``recent``      the last events of the tenant's runs, for a page that has not heard any yet
"""
