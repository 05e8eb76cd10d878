"""Tables and figures of the papers, measured again: what was printed, what comes out here, and a verdict by rule."""
