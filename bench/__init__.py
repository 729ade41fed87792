"""What `app.py bench` measures: this machine, a GPU, and the live conversation."""
