"""Alerts: a tenant's rules about its figures, what they found, and who is told.

figuring   what a rule's figure is now, and what is usual for it       (reads the rollups)
states     ok, pending, firing, no data: one pure step, also for the backtest
checking   once a minute, each tenant in one transaction: the step of every rule, its incidents
telling    from incidents to notices: silence, flapping, reminders, and never a storm
actions    what people change: rules and silences
"""
