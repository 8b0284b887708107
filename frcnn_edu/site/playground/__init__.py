"""The playground: a page on which the shipped detector runs in the browser. `build` writes it."""
