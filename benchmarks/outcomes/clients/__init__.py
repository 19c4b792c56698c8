"""One module per library, run in an environment of its own: what the library shows of a reply, unjudged."""
