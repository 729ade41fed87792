"""What the commands do, as functions from engines to plain values; app.py parses and prints."""
