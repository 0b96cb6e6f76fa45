"""One suite per contract: an adapter subclasses it and overrides one fixture."""
