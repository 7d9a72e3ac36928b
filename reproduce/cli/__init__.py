"""The command line `python -m reproduce`: the verbs, their options, and the processes they start."""
