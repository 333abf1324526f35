"""``bench dashboard``: the insights' charts on millions of runs, in a database of their own."""
