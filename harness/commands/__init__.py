"""The subcommands, one file each. Heavy imports are made inside the functions, so that --help is quick."""
