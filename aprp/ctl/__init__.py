"""``aprp ctl``: commands for a daemon that runs, over its control socket."""
