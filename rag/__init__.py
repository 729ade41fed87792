"""Documents in, answers with their sources out. It imports none of the other folders."""
