"""Whether and when a failed request is sent again. Pure: no I/O."""
