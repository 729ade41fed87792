"""What `app.py bench` measures: this machine, a GPU, and the live conversation.

It may import everything but app.py; nothing but app.py, scripts and tests imports it.
"""
