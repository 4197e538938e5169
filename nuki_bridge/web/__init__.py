"""The phone page: the process that serves it, and in `page/` what a browser gets."""
