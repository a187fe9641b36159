"""Names → bundles: the bundled models, the cache, and downloads."""
