"""One module per library, each run in an environment of its own: what the library shows of a reply, without judgement."""
