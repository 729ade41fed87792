"""What `app.py bench` measures: this machine, a GPU, and the live conversation.

It may import commands, serving, engines, settings, ui, rag and speech; of the parts,
only app.py imports it.
"""
