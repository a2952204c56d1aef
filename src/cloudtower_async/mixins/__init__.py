"""Public methods of the session, by subject."""
