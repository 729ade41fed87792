"""`app.py serve`: the page and what it needs of the engines, in the page's own terms (`ui.services`)."""
