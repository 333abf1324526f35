"""What a worker process is made of. ``console.worker`` puts it together; nothing here is a rule of the product.

host       the process: one event loop, slots, admission, leaving
advancing  one run's turn: claim, rebuild, advance, park or finish
database   the few threads in which the loop's database work is done
gates      the engine's questions, answered by approvals
watching   the engine's observer, written to the live feed
lending    tools, model clients and prices for a team
leases     the thread that keeps the leases of every live run
"""
