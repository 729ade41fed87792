"""What the commands do, as functions from engines to plain values; app.py parses their arguments and prints.

It may import serving, evaluation, engines, settings, rag and speech; only app.py and bench import it.
"""
