"""What would run where, and how much memory it takes, said before anything is opened.

It may import settings, rag and speech; engines, serving and app.py import it.
"""
