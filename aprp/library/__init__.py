"""aprp as a library: `Downloader` for scripts, `open_transfer` for programs."""
