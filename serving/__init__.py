"""`app.py serve`: the page and what it needs of the engines, in the page's own terms (`ui.services`).

It may import ui, evaluation, planning, engines, settings, rag and speech; app.py,
commands and bench import it.
"""
