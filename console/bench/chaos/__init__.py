"""``bench chaos``: hundreds of runs while workers are killed, stores restarted and emptied, tasks delivered twice and the
model stalls; then the books: nothing lost, nothing done twice, every journal valid.

ordeal     start here: the whole of it
world      a process of its own: tools that count what they do, and a model
teams      workflows for it
people     operators and reviewers, over the API
disasters  what befalls the instance, drawn from a seed
journals   what must hold of a journal
books      what was recorded beside what was done

It runs against an instance of its own and nothing else: it kills that instance's processes.
"""
