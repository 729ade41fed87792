"""What would run where, and how much memory it takes, said before anything is opened."""
