"""Teams: AutoGen components loaded by an allow-list, with every reach outside wrapped into an effect of the run."""
