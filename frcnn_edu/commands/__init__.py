"""The commands of the command line: `detector` makes and uses a detector, `lab` opens the course in a browser."""
