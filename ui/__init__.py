"""The page and its routes, on the services that it is given. It imports rag and speech."""
